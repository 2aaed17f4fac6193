-- ARGV: session, owner, op, task, payload, bound of waiting tasks.
local no = refused(session, ARGV[2], ARGV[3])
if no then return no end
local task, at = ARGV[4], get(session, 'task', 'last')
if at[1] == task or at[2] == task then return 'ok' end
if at[1] then return 'busy' end
if waiting() >= tonumber(ARGV[6]) then return 'full' end
redis.call('HSET', session.state, 'task', task, 'payload', ARGV[5], 'attempt', 0, 'entry', queue(session, task))
return 'ok'
