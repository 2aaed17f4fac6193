-- Brings the keys of the ledger keys.db, in this folder, to another one, those that were revoked too. A running gateway takes them within a
-- second. The program has no command for it yet:
--
--     sqlite3 /var/lib/tidegate/tidegate.db < share-keys.sql
ATTACH 'keys.db' AS made;
BEGIN IMMEDIATE;
INSERT INTO keys SELECT * FROM made.keys WHERE true
    ON CONFLICT (id) DO UPDATE SET revoked_ms = coalesce(keys.revoked_ms, excluded.revoked_ms);
UPDATE key_version SET version = version + 1;
COMMIT;
