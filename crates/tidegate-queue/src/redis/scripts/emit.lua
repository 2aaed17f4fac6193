-- ARGV: session, worker, number of the first piece, pieces. Returns a word, and what was said and taken.
local said, taken
if holds_lease(session, ARGV[2]) then said, taken = emit(session, tonumber(ARGV[3]), 4) end
if not said then return { 'lost', 0, 0 } end
return { 'ok', said, taken }
