-- ARGV: session, owner, op.
local no = refused(session, ARGV[2], ARGV[3])
if no then return no end
forget(session)
return 'ok'
