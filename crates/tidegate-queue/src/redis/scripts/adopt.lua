-- ARGV: session, process, ttl in ms. Returns the new epoch, the snapshot, and the log up to the entry that says who owns it now.
local process, ttl = ARGV[2], ARGV[3]
local at = get(session, 'owner', 'snapshot')
if not at[1] then return false end
local epoch = redis.call('HINCRBY', session.state, 'epoch', 1)
redis.call('HSET', session.state, 'op', 0, 'owner', process, 'ttl', ttl)
redis.call('XADD', session.log, '*', 'kind', 'owner', 'epoch', epoch)
redis.call('PEXPIRE', session.state, ttl)
redis.call('PEXPIRE', session.log, ttl)
tell(at[1], session)
return { epoch, at[2], redis.call('XRANGE', session.log, '-', '+') }
