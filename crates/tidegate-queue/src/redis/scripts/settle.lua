-- ARGV: session, worker, task, end, the memo's key, memo, number of the first piece, pieces.
local worker, task = ARGV[2], ARGV[3]
if holds_lease(session, worker) then
  if not emit(session, tonumber(ARGV[7]), 8) then return 'lost' end
  if ARGV[6] ~= '' then redis.call('SET', ARGV[5], ARGV[6], 'EX', 604800) end
  finish(session, 'settled', ARGV[4], worker)
  return 'ok'
end
local at = get(session, 'last', 'settled')
return at[1] == task and at[2] == worker and 'ok' or 'lost'
