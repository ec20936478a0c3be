-- The circuit breaker of one model. Each run is one atomic step, by the clock of Redis.
--
-- KEYS[1]  the model's hash
-- ARGV     command, threshold (failures), seconds open, seconds of a probe, seconds to keep, changes to keep; then
--   enter  token                    returns the state, 1 if the call may go, the time, the failures so far;
--                                   '' only asks: the call does not become the probe
--   leave  token, outcome, entered  outcome: answered, failed or abandoned; entered: the time that `enter` returned.
--                                   Returns the new state, '' if it is the old one
--   hold   open, closed or '', by   '' releases; `by` is percent-encoded. Returns the change
--   look                            returns the state and the changes, one per line: time|change|by, newest first
--
-- A field that is missing, malformed or out of range counts as absent, and so does a key of another type. Every write
-- replaces the whole key and so removes what cannot be read.
local key, command = KEYS[1], ARGV[1]
local threshold, open_seconds, probe_seconds = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local keep_seconds, changes_kept = tonumber(ARGV[5]), tonumber(ARGV[6])
local STALE = 86400  -- a breaker that was opened this long ago, and not probed since, is closed
local SKEW = 60      -- after a failover the clock may be this far behind the times that are stored

local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1e6
local names = {'state', 'since', 'failures', 'probe', 'probe_until', 'hold', 'hold_until', 'changes'}
local values = redis.pcall('HMGET', key, unpack(names))  -- of another type: an error without values
local stored = {}
for i, name in ipairs(names) do stored[name] = values[i] or '' end

local function number(name, least, most)
  local value = tonumber(stored[name])
  return value and value >= least and value <= most and value or nil
end

local state, since = 'closed', number('since', 0, now + SKEW) or 0
if (stored.state == 'opened' or stored.state == 'half-opened') and since > now - STALE then state = stored.state end
local failures = state == 'closed' and number('failures', 0, threshold) or 0
local probe, probe_until = '', 0
if state == 'half-opened' then
  probe, probe_until = stored.probe, number('probe_until', now, now + probe_seconds + SKEW) or 0
  if probe == '' then state, probe_until = 'opened', 0 end
end
local hold, hold_until = '', number('hold_until', now, now + keep_seconds + SKEW)
if hold_until and (stored.hold == 'open' or stored.hold == 'closed') then hold = stored.hold end
local changes, is_changed = {}, false
for line in string.gmatch(stored.changes, '[^\n]+') do
  local at = string.match(line, '^(%d+%.%d+)|[%a -]+|[%w%%._~-]*$')
  if at and tonumber(at) <= now + SKEW and #changes < changes_kept then table.insert(changes, line) end
end

local function record(change, by)
  is_changed = true
  local entry = change .. '|' .. by
  -- Not twice: a probe that failed is no news.
  if changes[1] and string.match(changes[1], '|(.*)$') == entry then return end
  table.insert(changes, 1, string.format('%.6f', now) .. '|' .. entry)
end

local function become(new_state)
  state, since, failures, probe, probe_until = new_state, now, 0, '', 0
  record(new_state, '')
  return new_state
end

local function told()
  if hold ~= '' then return 'held ' .. hold end
  if state == 'half-opened' and probe_until <= now then return 'opened' end
  return state
end

local function enter(token)
  local may_call = hold ~= 'open'
  if hold == '' and state ~= 'closed' then
    may_call = now - since >= open_seconds and (probe_until <= now or probe == token)
    if may_call and token ~= '' then
      state, probe, probe_until, is_changed = 'half-opened', token, now + probe_seconds, true
    end
  end
  return {told(), may_call and 1 or 0, string.format('%.6f', now), failures}
end

local function leave(token, outcome, entered)
  if state == 'half-opened' and probe == token then
    if outcome == 'answered' then return become('closed') end
    if outcome == 'failed' then return become('opened') end
    state, probe, probe_until, is_changed = 'opened', '', 0, true
    return state
  end
  -- A call that began before the breaker opened, or closed again, says nothing about the time since.
  if state == 'closed' and entered >= since and outcome ~= 'abandoned' then
    failures, is_changed = outcome == 'failed' and failures + 1 or 0, true
    if failures >= threshold then return become('opened') end
  end
  return ''
end

local reply
if command == 'look' then return {told(), table.concat(changes, '\n')} end
if command ~= 'hold' and stored.hold ~= '' and hold == '' then record('automatic again', '') end  -- expired
if command == 'enter' then
  reply = enter(ARGV[7])
elseif command == 'leave' then
  reply = leave(ARGV[7], ARGV[8], tonumber(ARGV[9]))
elseif command == 'hold' then
  hold, hold_until = ARGV[7], now + keep_seconds
  reply = hold == '' and 'automatic again' or 'held ' .. hold
  record(reply, ARGV[8])
end
if is_changed then
  local function seconds(value) return string.format('%.6f', value or 0) end
  redis.call('DEL', key)
  redis.call('HSET', key, 'state', state, 'since', seconds(since), 'failures', failures,
    'probe', probe, 'probe_until', seconds(probe_until), 'hold', hold, 'hold_until', seconds(hold_until),
    'changes', table.concat(changes, '\n'))
end
redis.call('EXPIRE', key, keep_seconds)
return reply
