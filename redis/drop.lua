-- Forgets the pages of a user on a node that is gone, unless they are others than those that were read.
--
-- KEYS  the user's pages
-- ARGV  node, its pages as they were read
-- Returns {}
if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then
  redis.call('HDEL', KEYS[1], ARGV[1])
end
return {}
