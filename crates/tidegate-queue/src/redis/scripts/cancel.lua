-- ARGV: session, owner, op, task, why.
local no = refused(session, ARGV[2], ARGV[3])
if no then return no end
local at = get(session, 'task', 'worker')
if at[1] ~= ARGV[4] then return 'ok' end
if at[2] then
  redis.call('HSET', session.state, 'cancel', ARGV[5])
  tell(at[2], session)
else
  finish(session, 'cancelled', '')
end
return 'ok'
