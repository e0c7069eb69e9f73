-- Writes what a node knows of some users of a company, renews its lease, and answers with the company's
-- numbers. All that is written is a state, so that doing it twice is harmless.
--
-- KEYS  users, leases, pages, the node's users, and where it is kept the article's hash
-- ARGV  node, lease in ms, the node's pages, the number of its users or -1 where more follow,
--       then pairs: user, the user's pages on the node or -1 for none and gone
-- Returns {users, pages of all nodes, 1 if users has changed, 1 if the node's users are not as many
-- as it says, a node whose lease has ended or '', ms since then}
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local before = redis.call('HLEN', KEYS[1])

for i = 5, #ARGV, 2 do
  local user, pages = ARGV[i], tonumber(ARGV[i + 1])
  local old = tonumber(redis.call('HGET', KEYS[4], user) or 0)
  if pages >= 0 then
    if redis.call('HSET', KEYS[4], user, pages) == 1 then
      redis.call('HINCRBY', KEYS[1], user, 1)
    end
  elseif redis.call('HDEL', KEYS[4], user) == 1 and redis.call('HINCRBY', KEYS[1], user, -1) <= 0 then
    redis.call('HDEL', KEYS[1], user)
  end
  local more = math.max(pages, 0) - old
  if KEYS[5] and more ~= 0 and redis.call('HINCRBY', KEYS[5], 'uid:' .. user, more) <= 0 then
    redis.call('HDEL', KEYS[5], 'uid:' .. user)
  end
end

local expected = tonumber(ARGV[4])
local differs = expected >= 0 and redis.call('HLEN', KEYS[4]) ~= expected
if expected == 0 and not differs then
  redis.call('ZREM', KEYS[2], ARGV[1])
  redis.call('HDEL', KEYS[3], ARGV[1])
else
  redis.call('ZADD', KEYS[2], now + ARGV[2], ARGV[1])
  redis.call('HSET', KEYS[3], ARGV[1], ARGV[3])
end

local pages = 0
for _, n in ipairs(redis.call('HVALS', KEYS[3])) do
  pages = pages + n
end
local users = redis.call('HLEN', KEYS[1])
local expired = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'WITHSCORES', 'LIMIT', 0, 1)
return {users, pages, users ~= before and 1 or 0, differs and 1 or 0, expired[1] or '', now - (expired[2] or now)}
