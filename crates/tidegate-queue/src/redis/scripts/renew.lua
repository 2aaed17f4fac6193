-- ARGV: session, worker. Returns a word, and why the task was cancelled if it was.
if not holds_lease(session, ARGV[2]) then return { 'lost', false } end
local at = get(session, 'entry', 'cancel')
redis.call('XCLAIM', tasks, group, group, 0, at[1], 'JUSTID')
return { 'ok', at[2] }
