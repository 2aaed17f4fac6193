-- ARGV: session, worker. Returns a word, why the task was cancelled if it was, and what was said and taken.
if not holds_lease(session, ARGV[2]) then return { 'lost', false, 0, 0 } end
local at = get(session, 'entry', 'cancel', 'said', 'taken')
redis.call('XCLAIM', tasks, group, group, 0, at[1], 'JUSTID')
return { 'ok', at[2], tonumber(at[3] or 0), tonumber(at[4] or 0) }
