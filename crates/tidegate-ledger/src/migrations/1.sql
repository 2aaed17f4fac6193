-- A row's number is the time of its last change: Unix milliseconds times 2^20, plus a counter. So rows sort by change, "since" and
-- retention are ranges of the primary key, and a tail is "everything above the last number seen".
-- The record is the one truth: what else is asked of a row is computed from it when it is asked, and costs nothing to write.

-- Streams that run. Small, and emptied as streams end.
CREATE TABLE open_streams (
    n INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    record TEXT NOT NULL
) STRICT;

-- Streams that ended. Appended to, and deleted from at the old end.
CREATE TABLE ended_streams (
    n INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    record TEXT NOT NULL
) STRICT;

-- Both, with what lists filter by. A record that is no JSON (a damaged file) has none of it, and does not spoil the list.
CREATE VIEW streams AS
    SELECT n, id, record, json ->> 'status' AS status, json ->> 'requested_model' AS model, json ->> 'team' AS team, json ->> 'key_id' AS key_id
    FROM (SELECT n, id, record, iif(json_valid(record), record, '{}') AS json FROM ended_streams)
    UNION ALL
    SELECT n, id, record, json ->> 'status' AS status, json ->> 'requested_model' AS model, json ->> 'team' AS team, json ->> 'key_id' AS key_id
    FROM (SELECT n, id, record, iif(json_valid(record), record, '{}') AS json FROM open_streams);

CREATE TABLE keys (
    id TEXT PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE,
    prefix TEXT NOT NULL,
    name TEXT NOT NULL,
    team TEXT,
    environment TEXT,
    admin INTEGER NOT NULL,
    models TEXT,
    created_ms INTEGER NOT NULL,
    revoked_ms INTEGER
) STRICT;

-- Grows with every change of a key, so that a running gateway sees with one small read that it has to load them again.
CREATE TABLE key_version (version INTEGER NOT NULL) STRICT;
INSERT INTO key_version VALUES (0);
