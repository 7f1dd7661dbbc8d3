-- Marks rows of replayed requests that the new reading no longer yields: their place is beyond its number of parts.
-- All records of a request have its received_at, so the primary key finds them. A row corrected by a newer replay than
-- this one is left alone; one that is marked takes this replay's number, so that an older one does not bring it back.
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
)
UPDATE message_statuses t
SET superseded_at = now(), replay_sequence = r.replay_sequence
FROM readings r
WHERE t.received_at = r.received_at AND t.request_id = r.request_id AND t.part >= r.parts
    AND t.superseded_at IS NULL AND coalesce(t.replay_sequence, -1) < r.replay_sequence
