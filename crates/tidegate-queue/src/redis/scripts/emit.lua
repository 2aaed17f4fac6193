-- ARGV: session, worker, number of the first piece, pieces.
return holds_lease(session, ARGV[2]) and emit(session, tonumber(ARGV[3]), 4) and 'ok' or 'lost'
