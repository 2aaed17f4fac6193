-- ARGV: session, owner, ttl in ms, holder. Returns the snapshot, what the log has since, up to the entry that says who owns it now, and what
-- was said; or nothing where this holder has no such session.
local owner, ttl, holder = ARGV[2], ARGV[3], ARGV[4]
local at = get(session, 'owner', 'snapshot', 'covers', 'holder', 'said')
if not at[1] or at[4] ~= holder then return false end
redis.call('HSET', session.state, 'owner', owner, 'op', 0, 'ttl', ttl)
redis.call('XADD', session.log, '*', 'kind', 'owner', 'owner', owner)
redis.call('PEXPIRE', session.state, ttl)
redis.call('PEXPIRE', session.log, ttl)
tell(at[1], session)
return { at[2], redis.call('XRANGE', session.log, at[3] and '(' .. at[3] or '-', '+'), tonumber(at[5] or 0) }
