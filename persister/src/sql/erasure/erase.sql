-- Takes the rows away and leaves what is needed to keep them away: an ending with the verdict `erased`, so that the
-- record counts as ended and a redelivery or a replay of it changes nothing; and a mark on every window of its keys, so
-- that a copy that comes late ends as erased, too. Neither says who it was.
WITH i AS (
    SELECT * FROM unnest($1::timestamptz[], $2::uuid[]) AS i (received_at, id)
),
messages_gone AS (
    DELETE FROM messages m USING i WHERE m.received_at = i.received_at AND m.id = i.id
    RETURNING m.id, m.received_at, m.request_id, m.part, m.channel, m.source, m.dedup_key, m.raw_sequence
),
statuses_gone AS (
    DELETE FROM message_statuses s USING i WHERE s.received_at = i.received_at AND s.id = i.id
    RETURNING s.id, s.received_at, s.request_id, s.part, s.channel, s.source, s.dedup_key, s.raw_sequence
),
gone AS (
    SELECT * FROM messages_gone UNION ALL SELECT * FROM statuses_gone
),
ended AS (
    INSERT INTO duplicates (
        id, received_at, request_id, part, original_id, channel, source, provider_message_id, policy, verdict,
        dedup_key, raw_sequence
    )
    -- A row does not say how its key was made.
    SELECT id, received_at, request_id, part, id, channel, source, NULL, 'unknown', 'erased', dedup_key, raw_sequence
    FROM gone
    ON CONFLICT (received_at, id) DO UPDATE
    SET original_id = excluded.original_id, verdict = excluded.verdict, provider_message_id = NULL
),
keys AS (
    SELECT dedup_key FROM gone UNION SELECT unnest($3::bytea[])
),
marked AS (
    UPDATE message_keys k SET erased_at = now() FROM i
    WHERE k.dedup_key IN (SELECT dedup_key FROM keys) AND k.id = i.id AND k.erased_at IS NULL
),
marked_past AS (
    UPDATE past_keys k SET erased_at = now() FROM i
    WHERE k.dedup_key IN (SELECT dedup_key FROM keys) AND k.id = i.id AND k.erased_at IS NULL
),
files_gone AS (
    DELETE FROM message_attachments f USING i WHERE f.received_at = i.received_at AND f.id = i.id
),
closed AS (
    UPDATE dead_letters e SET closed_at = now(), closed_by = 'erased' FROM gone
    WHERE e.id = gone.id AND e.closed_at IS NULL
)
SELECT (SELECT count(*) FROM messages_gone), (SELECT count(*) FROM statuses_gone)
