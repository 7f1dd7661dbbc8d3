-- The locks of judge.sql, in its order: beside other batches and not beside a replay, then every key of the records, and
-- those that they held before. `$1`, `$2`: the records; `$3`: the keys of their windows.
SELECT k.dedup_key
FROM message_keys k
WHERE k.dedup_key = ANY ($3::bytea[])
    OR k.dedup_key IN (
        SELECT m.dedup_key
        FROM unnest($1::timestamptz[], $2::uuid[]) AS i (received_at, id)
        JOIN messages m ON m.received_at = i.received_at AND m.id = i.id
        UNION ALL
        SELECT s.dedup_key
        FROM unnest($1::timestamptz[], $2::uuid[]) AS i (received_at, id)
        JOIN message_statuses s ON s.received_at = i.received_at AND s.id = i.id
    )
ORDER BY k.dedup_key
FOR UPDATE
