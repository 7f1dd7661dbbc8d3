-- The rows that somebody is in: as the sender, as a recipient, or as a value of what the provider sent along, which for
-- a telephone number may be written in many ways. `$1` holds his addresses in lower case. Read from end to end: nothing
-- but the sender has an index, and this is asked rarely.
SELECT place, id, received_at, request_id, raw_sequence, sender_address,
    coalesce(lower(sender_address) = ANY ($1), false) AS wrote
FROM (
    SELECT 'messages' AS place, id, received_at, request_id, raw_sequence, sender_address,
        NULL::text AS recipient, recipients, metadata
    FROM messages
    UNION ALL
    SELECT 'message_statuses', id, received_at, request_id, raw_sequence, sender_address,
        recipient, recipients, metadata
    FROM message_statuses
) AS rows
WHERE lower(sender_address) = ANY ($1)
    OR lower(recipient) = ANY ($1)
    OR EXISTS (SELECT FROM jsonb_array_elements(recipients) AS r WHERE lower(r ->> 'address') = ANY ($1))
    OR EXISTS (
        SELECT
        FROM jsonb_path_query(metadata, '$.** ? (@.type() == "string" || @.type() == "number")') AS v (value)
        CROSS JOIN LATERAL (SELECT v.value #>> '{}' AS text) AS t
        WHERE lower(t.text) = ANY ($1)
            OR (t.text ~ '^[-+0-9 ()./]{7,24}$'
                AND '+' || regexp_replace(t.text, '^ *00|[^0-9]', '', 'g') = ANY ($1))
    )
ORDER BY received_at, id
