-- ARGV: session, owner, op, what the owner has read, state.
local no = refused(session, ARGV[2], ARGV[3])
if no then return no end
redis.call('HSET', session.state, 'snapshot', ARGV[5], 'covers', ARGV[4])
-- The last entry that was read stays: while it is there, the server has not gone back in time (refresh.lua).
redis.call('XTRIM', session.log, 'MINID', ARGV[4])
-- What is left behind it was not read, but for the owner's own entries.
for _, entry in ipairs(redis.call('XRANGE', session.log, '-', '+')) do
  if entry[2][2] == 'journal' then redis.call('XDEL', session.log, entry[1]) end
end
return 'ok'
