-- Takes the locks that a batch is judged under: its half of the lock that excludes replays (`ALONE` in session.rs),
-- then the lock of every key, in the order of the keys, so that two batches never wait for each other.
-- A key that nobody holds goes to the earliest record that has it. `WHERE false` locks the holder's row and changes
-- nothing: what is to be changed is decided by judge.sql, whose snapshot is taken after all these locks. This
-- statement's own is taken before them, which does not matter, since ON CONFLICT meets what is committed by now.
-- The first lock is taken before the first key's because the sort wants all of its input, and with it the join, before
-- it gives a row; the other way round a batch and a replay could wait for each other.
INSERT INTO message_keys AS held (dedup_key, id, received_at, expires_at)
SELECT DISTINCT ON (i.dedup_key) i.dedup_key, i.id, i.received_at, i.expires_at
FROM (SELECT pg_advisory_xact_lock_shared(7236834, 1)) AS beside_other_batches
CROSS JOIN unnest($1::bytea[], $2::uuid[], $3::timestamptz[], $4::timestamptz[])
    AS i (dedup_key, id, received_at, expires_at)
ORDER BY i.dedup_key, i.received_at, i.id
ON CONFLICT (dedup_key) DO UPDATE SET id = held.id WHERE false
