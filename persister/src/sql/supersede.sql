-- Marks rows of replayed requests that the new reading no longer yields: their place is beyond its number of parts.
-- All records of a request have its received_at, so the primary key finds them. A row corrected by a newer replay than
-- this one is left alone; one that is marked takes this replay's number, so that an older one does not bring it back.
--
-- What is marked is no message any more, so it gives back the key of its reading: the next copy of it is a row.
--
-- Runs alone, twice: before the keys are locked, so that the batch is judged against what is left; and after the rows
-- are written, for those of an older reading of the same request in the same batch.
WITH readings AS (
    SELECT DISTINCT ON (i.request_id) i.*
    FROM unnest($1::uuid[], $2::timestamptz[], $3::int[], $4::bigint[])
        AS i (request_id, received_at, parts, replay_sequence)
    ORDER BY i.request_id, i.replay_sequence DESC
),
superseded_messages AS (
    UPDATE messages t
    SET superseded_at = now(), replay_sequence = r.replay_sequence
    FROM readings r
    WHERE t.received_at = r.received_at AND t.request_id = r.request_id AND t.part >= r.parts
        AND t.superseded_at IS NULL AND coalesce(t.replay_sequence, -1) < r.replay_sequence
    RETURNING t.dedup_key, t.id
),
superseded_statuses AS (
    UPDATE message_statuses t
    SET superseded_at = now(), replay_sequence = r.replay_sequence
    FROM readings r
    WHERE t.received_at = r.received_at AND t.request_id = r.request_id AND t.part >= r.parts
        AND t.superseded_at IS NULL AND coalesce(t.replay_sequence, -1) < r.replay_sequence
    RETURNING t.dedup_key, t.id
),
superseded AS (
    SELECT * FROM superseded_messages UNION ALL SELECT * FROM superseded_statuses
),
given_back AS (
    DELETE FROM message_keys k USING superseded s WHERE k.dedup_key = s.dedup_key AND k.id = s.id
)
DELETE FROM past_keys p USING superseded s WHERE p.dedup_key = s.dedup_key AND p.id = s.id
