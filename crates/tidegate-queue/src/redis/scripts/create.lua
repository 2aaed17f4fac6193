-- ARGV: session, owner, ttl in ms, holder. Returns the log's first id, or nothing where there is such a session.
local owner, ttl, holder = ARGV[2], ARGV[3], ARGV[4]
if redis.call('EXISTS', session.state) == 1 then return false end
redis.call('HSET', session.state, 'owner', owner, 'op', 0, 'ttl', ttl, 'holder', holder)
local at = redis.call('XADD', session.log, '*', 'kind', 'owner', 'owner', owner)
redis.call('PEXPIRE', session.state, ttl)
redis.call('PEXPIRE', session.log, ttl)
return at
