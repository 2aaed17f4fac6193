-- ARGV: session, process, ttl in ms. Returns the log's first id.
local process, ttl = ARGV[2], ARGV[3]
if redis.call('EXISTS', session.state) == 1 then return false end
redis.call('HSET', session.state, 'epoch', 1, 'op', 0, 'owner', process, 'ttl', ttl, 'fence', 0)
local at = redis.call('XADD', session.log, '*', 'kind', 'owner', 'epoch', 1)
redis.call('PEXPIRE', session.state, ttl)
redis.call('PEXPIRE', session.log, ttl)
return at
