-- ARGV: session, worker, attempts, 1 if the worker never saw the task.
if not holds_lease(session, ARGV[2]) then return 'lost' end
if ARGV[4] == '1' then redis.call('HINCRBY', session.state, 'attempt', -1) end
recover(session, ARGV[3])
return 'ok'
