-- ARGV: session, epoch, op.
local no = refused(session, ARGV[2], ARGV[3])
if no then return no end
local at = get(session, 'entry', 'worker')
if at[1] then unqueue(at[1]) end
redis.call('DEL', session.state, session.log)
tell(at[2], session)
return 'ok'
