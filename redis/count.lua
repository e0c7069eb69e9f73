-- Counts a company in which the asking node has nobody.
--
-- KEYS  users, leases, pages
-- Returns {users, pages, a node whose lease has ended or '', ms since then}
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local pages = 0
for _, n in ipairs(redis.call('HVALS', KEYS[3])) do
  pages = pages + n
end
local expired = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'WITHSCORES', 'LIMIT', 0, 1)
return {redis.call('HLEN', KEYS[1]), pages, expired[1] or '', now - (expired[2] or now)}
