-- Grants calls to the upstream within its rate. Each run is one atomic step for one model.
--
-- KEYS[1]  prefix of the model's keys
-- ARGV     process, its time to live (ms), requests per minute, tokens per minute (both used until learned),
--          requests and tokens to give back, the upstream's last remaining requests and tokens ('' if unknown),
--          then for each new or repeated ticket: id, class, flow, tokens
--
-- Class 0 is served before 1, and 1 before 2. Within a class, flows (people) take turns by start-time fair queueing:
-- a ticket starts where the previous ticket of its flow ends, in tokens. Lower classes leave a reserve in the bucket, so
-- that a question can go at once; while they wait, every TURN-th grant is theirs.
--
-- A key of another type is deleted. A field that is missing, malformed or out of range counts as absent, and a ticket
-- that cannot be read is dropped: its process sends it again. Every key has a time to live.
local prefix, process = KEYS[1], ARGV[1]
local BURST = 6          -- seconds' worth of the rate that may be granted at once
local DEBT = 10          -- bursts by which the bucket may be overdrawn: calls that use more than all that are forgiven it
local RESERVE = {0, 0.1, 0.25}
local TURN = 20
local KEEP = 3600        -- seconds, also for limits that the upstream has not confirmed since
local CLOSED = 3600      -- seconds for which a refusal may close a model at most, as in governor.py
local SKEW = 60          -- after a failover the clock may be this far behind the times that are stored
local AHEAD = 1e7        -- tokens by which a flow may be ahead of the tickets that are served
local MOST = 1e12        -- no number of tokens or requests is larger

local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1e6
local bucket = prefix .. ':bucket'

local function of_type(wanted, key)
  local found = redis.call('TYPE', key).ok
  if found ~= wanted and found ~= 'none' then redis.call('DEL', key) end
  return key
end

local function within(value, least, most)
  value = tonumber(value or '')
  return value and value >= least and value <= most and value or nil  -- not a NaN either
end

local function queue(class) return prefix .. ':queue:' .. class end
local function flows(class) return prefix .. ':flows:' .. class end
local function grants(owner) return prefix .. ':grants:' .. owner end

of_type('hash', bucket)
for class = 0, 2 do
  of_type('zset', queue(class))
  of_type('hash', flows(class))
end

local function number(field, least, most)
  return within(redis.call('HGET', bucket, field), least, most)
end

local at = number('at', 0, now + SKEW) or now
local passed = math.max(0, now - at)
local factor = math.min(1, (number('factor', 0.1, 1) or 1) + passed / 120)
local is_learned = number('learned_at', now - KEEP, now + SKEW)
local limit_r = is_learned and number('limit_requests', 1, MOST) or math.max(1, tonumber(ARGV[3]))
local limit_t = is_learned and number('limit_tokens', 1, MOST) or math.max(1, tonumber(ARGV[4]))
local rate_r, rate_t = limit_r * factor / 60, limit_t * factor / 60
local cap_r, cap_t = math.max(1, rate_r * BURST), math.max(1, rate_t * BURST)

local function room(field, cap, rate, back, remaining)
  local value = (number(field, -DEBT * cap, MOST) or cap) + passed * rate + tonumber(back)
  return math.max(-DEBT * cap, math.min(cap, value, within(remaining, 0, MOST) or cap))
end

local room_r = room('requests', cap_r, rate_r, ARGV[5], ARGV[7])
local room_t = room('tokens', cap_t, rate_t, ARGV[6], ARGV[8])
local closed_until = number('closed_until', 0, now + CLOSED + SKEW) or 0
local turn = number('turn', 0, MOST) or 0

redis.call('SET', prefix .. ':alive:' .. process, 1, 'PX', ARGV[2])

local function served(class) return number('served:' .. class, 0, MOST) or 0 end

for i = 9, #ARGV, 4 do
  local id, class, flow, tokens = ARGV[i], ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[i + 3])
  local from = served(class)
  local start = within(redis.call('HGET', flows(class), flow), from, from + AHEAD) or from
  if redis.call('ZADD', queue(class), 'NX', start, process .. ' ' .. id .. ' ' .. tokens) == 1 then
    redis.call('HSET', flows(class), flow, start + tokens)
  end
end

local function head(class)
  while true do
    local first = redis.call('ZRANGE', queue(class), 0, 0, 'WITHSCORES')
    if #first == 0 then
      redis.call('DEL', flows(class))
      redis.call('HDEL', bucket, 'served:' .. class)
      return nil
    end
    local owner, id, tokens = string.match(first[1], '^([%w-]+) (%x+) (%S+)$')
    tokens = within(tokens, 0, MOST)
    if tokens and (owner == process or redis.call('EXISTS', prefix .. ':alive:' .. owner) == 1) then
      return {member = first[1], owner = owner, id = id, tokens = math.min(tokens, cap_t), at = first[2]}
    end
    redis.call('ZREM', queue(class), first[1])  -- its process has died, or it cannot be read
  end
end

local function next_in_line()
  local first, last
  for class = 0, 2 do
    local ticket = head(class)
    if ticket then
      ticket.class = class
      first = first or ticket
      last = ticket
    end
  end
  if first and last.class == first.class then turn = 0 end  -- no lower class waits
  if first and last.class > first.class and turn >= TURN then
    last.by_turn = true
    return last, 0
  end
  return first, first and RESERVE[first.class + 1] or 0
end

local granted, wait = {}, 0
while true do
  local ticket, reserve = next_in_line()
  if not ticket then break end
  local short_r = 1 + reserve * (cap_r - 1) - room_r
  local short_t = ticket.tokens + reserve * (cap_t - ticket.tokens) - room_t
  if now < closed_until or short_r > 1e-9 or short_t > 1e-9 then
    wait = math.max(closed_until - now, short_r / rate_r, short_t / rate_t)
    break
  end
  room_r, room_t = room_r - 1, room_t - ticket.tokens
  redis.call('ZREM', queue(ticket.class), ticket.member)
  redis.call('HSET', bucket, 'served:' .. ticket.class, ticket.at)
  turn = ticket.by_turn and 0 or turn + 1
  if ticket.owner == process then
    table.insert(granted, ticket.id)
  else
    redis.call('RPUSH', of_type('list', grants(ticket.owner)), ticket.id)
    redis.call('EXPIRE', grants(ticket.owner), 60)
  end
end

for _, id in ipairs(redis.call('LRANGE', of_type('list', grants(process)), 0, -1)) do
  if string.match(id, '^%x+$') then table.insert(granted, id) end
end
redis.call('DEL', grants(process))

redis.call('HSET', bucket, 'requests', room_r, 'tokens', room_t, 'at', now, 'factor', factor, 'turn', turn)
redis.call('EXPIRE', bucket, KEEP)
for class = 0, 2 do
  redis.call('EXPIRE', queue(class), KEEP)
  redis.call('EXPIRE', flows(class), KEEP)
end
return {tostring(wait), granted}
