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
local prefix, process = KEYS[1], ARGV[1]
local BURST = 6          -- seconds' worth of the rate that may be granted at once
local RESERVE = {0, 0.1, 0.25}
local TURN = 20
local KEEP = 3600

local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1e6
local bucket = prefix .. ':bucket'

local function number(field, default)
  return tonumber(redis.call('HGET', bucket, field) or '') or default
end

local factor = math.min(1, number('factor', 1) + math.max(0, now - number('at', now)) / 120)
local rate_r = number('limit_requests', tonumber(ARGV[3])) * factor / 60
local rate_t = number('limit_tokens', tonumber(ARGV[4])) * factor / 60
local cap_r, cap_t = math.max(1, rate_r * BURST), math.max(1, rate_t * BURST)
local passed = math.max(0, now - number('at', now))
local room_r = math.min(cap_r, number('requests', cap_r) + passed * rate_r + tonumber(ARGV[5]))
local room_t = math.min(cap_t, number('tokens', cap_t) + passed * rate_t + tonumber(ARGV[6]))
if ARGV[7] ~= '' then room_r = math.min(room_r, tonumber(ARGV[7])) end
if ARGV[8] ~= '' then room_t = math.min(room_t, tonumber(ARGV[8])) end
local closed_until = number('closed_until', 0)
local turn = number('turn', 0)

redis.call('SET', prefix .. ':alive:' .. process, 1, 'PX', ARGV[2])

local function queue(class) return prefix .. ':queue:' .. class end

for i = 9, #ARGV, 4 do
  local id, class, flow, tokens = ARGV[i], ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[i + 3])
  local flows = prefix .. ':flows:' .. class
  local start = math.max(number('served:' .. class, 0), tonumber(redis.call('HGET', flows, flow) or '0'))
  if redis.call('ZADD', queue(class), 'NX', start, process .. ' ' .. id .. ' ' .. tokens) == 1 then
    redis.call('HSET', flows, flow, start + tokens)
  end
end

local function head(class)
  while true do
    local first = redis.call('ZRANGE', queue(class), 0, 0, 'WITHSCORES')
    if #first == 0 then
      redis.call('DEL', prefix .. ':flows:' .. class)
      redis.call('HDEL', bucket, 'served:' .. class)
      return nil
    end
    local owner, id, tokens = string.match(first[1], '^(%S+) (%S+) (%S+)$')
    if owner == process or redis.call('EXISTS', prefix .. ':alive:' .. owner) == 1 then
      return {member = first[1], owner = owner, id = id, tokens = math.min(tonumber(tokens), cap_t), at = first[2]}
    end
    redis.call('ZREM', queue(class), first[1])  -- its process has died
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
    redis.call('RPUSH', prefix .. ':grants:' .. ticket.owner, ticket.id)
    redis.call('EXPIRE', prefix .. ':grants:' .. ticket.owner, 60)
  end
end

local given = prefix .. ':grants:' .. process
for _, id in ipairs(redis.call('LRANGE', given, 0, -1)) do table.insert(granted, id) end
redis.call('DEL', given)

redis.call('HSET', bucket, 'requests', room_r, 'tokens', room_t, 'at', now, 'factor', factor, 'turn', turn)
redis.call('EXPIRE', bucket, KEEP)
return {tostring(wait), granted}
