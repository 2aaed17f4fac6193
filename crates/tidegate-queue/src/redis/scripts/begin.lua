-- ARGV: session, worker, task, its entry in the task stream. Returns attempt, payload, and what was said and taken, or nothing where the
-- entry is out of date.
local worker, task, entry = ARGV[2], ARGV[3], ARGV[4]
local at = get(session, 'task', 'entry', 'visible', 'payload', 'said', 'taken')
if at[1] ~= task or at[2] ~= entry then
  unqueue(entry)
  return false
end
-- Given out a second time, which happens where somebody made the group anew.
if at[3] then
  finish(session, 'lost', '')
  return false
end
redis.call('HSET', session.state, 'worker', worker, 'emitted', 0)
return { redis.call('HINCRBY', session.state, 'attempt', 1), at[4], tonumber(at[5] or 0), tonumber(at[6] or 0) }
