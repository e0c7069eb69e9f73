-- Renews the lease of a node, and lists the nodes.
--
-- KEYS  nodes, addresses
-- ARGV  node, lease in ms; 0 only lists; the node's address
-- Returns {1 if the node was not listed before, or its lease had ended, then of each node: its name, ms until
-- its lease ends, its address}
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local new = 0
if tonumber(ARGV[2]) > 0 then
  local lease = redis.call('ZSCORE', KEYS[1], ARGV[1])
  if not lease or tonumber(lease) <= now then
    new = 1
  end
  redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
  if ARGV[3] ~= '' then
    redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
  end
end
local answer = {new}
local all = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
for i = 1, #all, 2 do
  answer[#answer + 1] = all[i]
  answer[#answer + 1] = tostring(math.floor(tonumber(all[i + 1]) - now))
  answer[#answer + 1] = redis.call('HGET', KEYS[2], all[i]) or ''
end
return answer
