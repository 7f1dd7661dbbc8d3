-- Takes the lock of every key of the batch, in the order of the keys, so that two batches never wait for each other.
-- A key that nobody holds goes to the earliest record that has it. `WHERE false` locks the holder's row and changes
-- nothing: what is to be changed is decided by the next statement, whose snapshot is taken after all these locks.
INSERT INTO message_keys AS held (dedup_key, id, received_at, expires_at)
SELECT DISTINCT ON (i.dedup_key) i.dedup_key, i.id, i.received_at, i.expires_at
FROM unnest($1::bytea[], $2::uuid[], $3::timestamptz[], $4::timestamptz[])
    AS i (dedup_key, id, received_at, expires_at)
ORDER BY i.dedup_key, i.received_at, i.id
ON CONFLICT (dedup_key) DO UPDATE SET id = held.id WHERE false
