-- What has ended of the records that came in within some stretches of time, rows before repeats. Stretches, because the
-- primary keys begin with received_at: a batch of requests is one walk along three indexes, whatever else is in it, and
-- no index has to be kept for this.
--
-- The order is asked for only because the primary keys give it for nothing: so they are taken also in a plan that was
-- made while a month was empty. Other indexes hold received_at, too, behind something else.
SELECT e.request_id, e.part, e.parts, e.superseded, e.ending
FROM unnest($1::timestamptz[], $2::timestamptz[]) AS s (first, last)
CROSS JOIN LATERAL (
    (
        SELECT request_id, part, parts, superseded_at IS NOT NULL AS superseded, 0::smallint AS ending
        FROM messages WHERE received_at BETWEEN s.first AND s.last ORDER BY received_at, id
    )
    UNION ALL
    (
        SELECT request_id, part, parts, superseded_at IS NOT NULL, 1::smallint
        FROM message_statuses WHERE received_at BETWEEN s.first AND s.last ORDER BY received_at, id
    )
    UNION ALL
    (
        SELECT request_id, part, NULL, false, 2::smallint
        FROM duplicates WHERE received_at BETWEEN s.first AND s.last ORDER BY received_at, id
    )
) AS e
