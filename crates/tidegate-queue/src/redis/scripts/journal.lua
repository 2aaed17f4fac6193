-- ARGV: session, owner, op, what the owner has read, entries.
local no = refused(session, ARGV[2], ARGV[3])
if no then return no end
for i = 5, #ARGV do
  redis.call('XADD', session.log, '*', 'kind', 'journal', 'read', ARGV[4], 'data', ARGV[i])
end
return 'ok'
