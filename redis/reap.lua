-- Takes users of a node out of a company, in one step of many, unless the node's lease holds.
--
-- KEYS  users, leases, pages, the node's users, and where it is kept the article's hash
-- ARGV  node, the most users to take out, 1 to do it whatever the lease says
-- Returns {1 if there are more, 1 if the number of users has changed, 1 if the lease holds}
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local lease = redis.call('ZSCORE', KEYS[2], ARGV[1])
if ARGV[3] ~= '1' and lease and tonumber(lease) > now then
  return {0, 0, 1}
end

local changed = 0
local some = redis.call('HRANDFIELD', KEYS[4], ARGV[2], 'WITHVALUES')
for i = 1, #some, 2 do
  local user, pages = some[i], tonumber(some[i + 1])
  redis.call('HDEL', KEYS[4], user)
  if redis.call('HINCRBY', KEYS[1], user, -1) <= 0 then
    redis.call('HDEL', KEYS[1], user)
    changed = 1
  end
  if KEYS[5] and pages > 0 and redis.call('HINCRBY', KEYS[5], 'uid:' .. user, -pages) <= 0 then
    redis.call('HDEL', KEYS[5], 'uid:' .. user)
  end
end
redis.call('HDEL', KEYS[3], ARGV[1])
if redis.call('EXISTS', KEYS[4]) == 1 then
  return {1, changed, 0}
end
redis.call('ZREM', KEYS[2], ARGV[1])
return {0, changed, 0}
