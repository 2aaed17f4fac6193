-- ARGV: session, fence, number of the first piece, pieces.
if not holds_lease(session, ARGV[2]) then return 'lost' end
emit(session, tonumber(ARGV[3]), 4)
tell(get(session, 'owner')[1], session)
return 'ok'
