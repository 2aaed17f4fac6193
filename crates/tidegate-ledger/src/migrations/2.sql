-- Answers that were made in the background, until they expire.
CREATE TABLE results (
    stream TEXT PRIMARY KEY,
    expires_ms INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE INDEX results_by_expiry ON results (expires_ms);

-- Webhooks that have to go out. A row is deleted when its message was delivered, given up or has expired. The body stands last, so that
-- reading the rest does not read through it.
CREATE TABLE outbox (
    id TEXT PRIMARY KEY,
    next_try_ms INTEGER NOT NULL,
    host TEXT NOT NULL,
    expires_ms INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    url TEXT NOT NULL,
    body TEXT NOT NULL
) STRICT;
-- Holds all that the choice of the next message asks for.
CREATE INDEX outbox_by_time ON outbox (next_try_ms, host, expires_ms);
CREATE INDEX outbox_by_expiry ON outbox (expires_ms);
