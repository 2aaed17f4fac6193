-- ARGV: session, fence, task, end, number of the first piece, pieces.
local fence, task = ARGV[2], ARGV[3]
if not holds_lease(session, fence) then
  local at = get(session, 'last', 'settled')
  return at[1] == task and at[2] == fence and 'ok' or 'lost'
end
emit(session, tonumber(ARGV[5]), 6)
finish(session, 'settled', ARGV[4], fence)
return 'ok'
