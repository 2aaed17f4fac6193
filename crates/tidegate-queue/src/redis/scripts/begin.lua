-- ARGV: session, process, task, its entry in the task stream. Returns fence, attempt and payload, or nothing where the entry is out of date.
local process, task, entry = ARGV[2], ARGV[3], ARGV[4]
local at = get(session, 'task', 'entry', 'visible', 'payload')
if at[1] ~= task or at[2] ~= entry then
  unqueue(entry)
  return false
end
-- Given out a second time, which happens where somebody made the group anew.
if at[3] then
  redis.call('HINCRBY', session.state, 'fence', 1)
  finish(session, 'lost', '', 0)
  return false
end
local fence, attempt = redis.call('HINCRBY', session.state, 'fence', 1), redis.call('HINCRBY', session.state, 'attempt', 1)
redis.call('HSET', session.state, 'worker', process, 'emitted', 0)
return { fence, attempt, at[4] }
