-- Records what a stage gave up on. An id that has an ending elsewhere gets an entry that is closed at once. One that
-- was closed and comes again without an ending is open again: somebody has to look at it.
INSERT INTO dead_letters AS e (
    id, received_at, request_id, part, stage, channel, source, reason, detail, closed_at, closed_by
)
SELECT DISTINCT ON (i.id)
    i.id, i.received_at, i.request_id, i.part, i.stage, i.channel, i.source, i.reason, i.detail,
    CASE WHEN ending.word IS NOT NULL THEN now() END, ending.word
FROM unnest(
    $1::uuid[], $2::timestamptz[], $3::uuid[], $4::int[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[]
) WITH ORDINALITY AS i (id, received_at, request_id, part, stage, channel, source, reason, detail, place)
LEFT JOIN LATERAL (
    SELECT 'row' AS word FROM messages m WHERE m.received_at = i.received_at AND m.id = i.id
    UNION ALL
    SELECT 'row' FROM message_statuses s WHERE s.received_at = i.received_at AND s.id = i.id
    UNION ALL
    SELECT 'duplicate' FROM duplicates d WHERE d.received_at = i.received_at AND d.id = i.id
    LIMIT 1
) ending ON true
ORDER BY i.id, i.place DESC
ON CONFLICT (id) DO UPDATE
SET
    stage = excluded.stage, reason = excluded.reason, detail = excluded.detail,
    closed_at = CASE WHEN excluded.closed_at IS NOT NULL THEN coalesce(e.closed_at, excluded.closed_at) END,
    closed_by = CASE WHEN excluded.closed_at IS NOT NULL THEN coalesce(e.closed_by, excluded.closed_by) END
