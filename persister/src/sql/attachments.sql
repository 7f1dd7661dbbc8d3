-- Says which files the records just written refer to. A provider's own reference has no hash, and a file that was not
-- stored no place.
INSERT INTO message_attachments (received_at, id, position, blake3, size)
SELECT i.received_at, i.id, (file.position - 1)::int, file.value ->> 'blake3', (file.value ->> 'size')::bigint
FROM unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::boolean[]) AS i (id, received_at, attachments, written)
CROSS JOIN LATERAL jsonb_array_elements(i.attachments::jsonb) WITH ORDINALITY AS file (value, position)
WHERE i.written AND file.value ->> 'blake3' IS NOT NULL AND file.value ->> 'location' IS NOT NULL
ON CONFLICT DO NOTHING
