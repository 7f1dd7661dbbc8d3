-- The rows that somebody is in: as the sender, as a recipient, or as a value of what the provider sent along. `$1` holds
-- his addresses in lower case. Read from end to end: nothing but the sender has an index, and this is asked rarely.
SELECT 'messages' AS place, id, received_at, request_id, raw_sequence, sender_address,
    coalesce(lower(sender_address) = ANY ($1), false) AS wrote
FROM messages
WHERE lower(sender_address) = ANY ($1)
    OR EXISTS (SELECT FROM jsonb_array_elements(recipients) AS r WHERE lower(r ->> 'address') = ANY ($1))
    OR EXISTS (
        SELECT FROM jsonb_path_query(metadata, '$.** ? (@.type() == "string")') AS v WHERE lower(v #>> '{}') = ANY ($1)
    )
UNION ALL
SELECT 'message_statuses', id, received_at, request_id, raw_sequence, sender_address,
    coalesce(lower(sender_address) = ANY ($1), false)
FROM message_statuses
WHERE lower(sender_address) = ANY ($1)
    OR lower(recipient) = ANY ($1)
    OR EXISTS (SELECT FROM jsonb_array_elements(recipients) AS r WHERE lower(r ->> 'address') = ANY ($1))
    OR EXISTS (
        SELECT FROM jsonb_path_query(metadata, '$.** ? (@.type() == "string")') AS v WHERE lower(v #>> '{}') = ANY ($1)
    )
ORDER BY received_at, id
