-- Judges a batch: which records become rows, which are repeats; writes the repeats, moves the keys, closes entries of
-- dead_letters. The rows themselves are written by the statement after it, in the same transaction.
--
-- Rests on keys.sql before it: every key is locked, so nothing about these keys can change until the commit, and this
-- statement's snapshot, being taken after the locks, sees everything that was ever committed about them.
--
-- `LATERAL (.. OFFSET 0)` is a lookup by primary key, row by row, whatever the planner believes about table sizes: a
-- plan made while a table is empty is still right when it holds millions.
WITH input AS (
    SELECT *
    FROM unnest(
        $1::bytea[], $2::uuid[], $3::timestamptz[], $4::timestamptz[], $5::bigint[], $6::text[],
        $7::uuid[], $8::int[], $9::text[], $10::text[], $11::text[], $12::bigint[]
    ) WITH ORDINALITY AS i (
        dedup_key, id, received_at, expires_at, replay_sequence, policy,
        request_id, part, channel, source, provider_message_id, raw_sequence, place
    )
),
-- What is known about each record.
known AS (
    SELECT
        i.*,
        k.place_of_key,
        k.id AS holder,
        k.received_at AS held_from,
        k.expires_at AS held_until,
        k.erased_at,
        k.id = i.id AS holds,
        i.received_at >= k.expires_at AS later,
        k.received_at - i.received_at >= k.expires_at - k.received_at AS older,
        p.id AS past,
        p.received_at AS past_from,
        p.erased_at AS past_erased_at,
        coalesce(m.replay_sequence, s.replay_sequence) AS row_sequence,
        m.found IS NOT NULL AS in_messages,
        s.found IS NOT NULL AS in_statuses,
        coalesce(m.superseded, s.superseded, false) AS superseded,
        d.original_id AS repeat_of,
        d.verdict AS ended_as,
        -- Whether a repeat is judged anew, by a replay: its original is no row any more; or it has another key than at
        -- the time of the verdict, and so has its original. While the original has still the key that they shared, the
        -- new one says only that the settings have changed, and two rows of one message would be there for good.
        coalesce(
            o.ended = 'repeat'
            OR (o.ended = 'superseded' AND b.dedup_key IS NULL)
            OR (d.dedup_key <> i.dedup_key AND coalesce(b.dedup_key, o.dedup_key) <> d.dedup_key),
            false
        ) AS reopened,
        -- The original's new key is this record's, too: it stays a repeat, under that key.
        coalesce(
            (o.ended = 'row' OR b.dedup_key IS NOT NULL) AND coalesce(b.dedup_key, o.dedup_key) = i.dedup_key,
            false
        ) AS follows
    FROM input i
    CROSS JOIN LATERAL (
        SELECT k.ctid AS place_of_key, k.* FROM message_keys k WHERE k.dedup_key = i.dedup_key OFFSET 0
    ) k
    LEFT JOIN LATERAL (
        SELECT p.id, p.received_at, p.erased_at
        FROM past_keys p
        WHERE p.dedup_key = i.dedup_key
            AND (p.id = i.id
                OR (i.received_at < p.expires_at
                    AND p.received_at - i.received_at < p.expires_at - p.received_at))
        ORDER BY p.id <> i.id, p.received_at > i.received_at, p.received_at DESC
        LIMIT 1
    ) p ON true
    LEFT JOIN LATERAL (
        SELECT true AS found, m.replay_sequence, m.superseded_at IS NOT NULL AS superseded
        FROM messages m WHERE m.received_at = i.received_at AND m.id = i.id OFFSET 0
    ) m ON true
    LEFT JOIN LATERAL (
        SELECT true AS found, s.replay_sequence, s.superseded_at IS NOT NULL AS superseded
        FROM message_statuses s WHERE s.received_at = i.received_at AND s.id = i.id OFFSET 0
    ) s ON true
    LEFT JOIN LATERAL (
        SELECT d.original_id, d.verdict, d.dedup_key
        FROM duplicates d WHERE d.received_at = i.received_at AND d.id = i.id OFFSET 0
    ) d ON true
    -- Only for a replay of a repeat: what became of its original, whose id begins with its time in milliseconds. One that
    -- is not there any more (its month was dropped, or its own retention was over) opens nothing: it was a message, and
    -- this stays its repeat. A record whose own row went like that finds its key its own, and becomes a row again.
    LEFT JOIN LATERAL (
        SELECT
            'epoch'::timestamptz
                + ('x' || translate(left(d.original_id::text, 13), '-', ''))::bit(48)::bigint * interval '1 ms' AS time
        WHERE i.replay_sequence IS NOT NULL AND d.verdict = 'repeat'
    ) original ON true
    LEFT JOIN LATERAL (
        SELECT
            CASE WHEN o.superseded_at IS NULL THEN 'row' ELSE 'superseded' END AS ended, o.dedup_key, o.replay_sequence
        FROM messages o WHERE o.received_at = original.time AND o.id = d.original_id
        UNION ALL
        SELECT CASE WHEN o.superseded_at IS NULL THEN 'row' ELSE 'superseded' END, o.dedup_key, o.replay_sequence
        FROM message_statuses o WHERE o.received_at = original.time AND o.id = d.original_id
        UNION ALL
        SELECT 'repeat', NULL, NULL
        FROM duplicates o WHERE o.received_at = original.time AND o.id = d.original_id AND o.verdict = 'repeat'
        LIMIT 1
    ) o ON true
    -- The key that this batch gives the original's row.
    LEFT JOIN LATERAL (
        SELECT b.dedup_key
        FROM input b
        WHERE (o.ended = 'superseded' OR (o.ended = 'row' AND d.dedup_key <> i.dedup_key))
            AND b.id = d.original_id AND b.replay_sequence > coalesce(o.replay_sequence, -1)
        OFFSET 0
    ) b ON true
),
-- Whose repeat each record would be; itself, if nobody's. Where two windows have it, one that began before it and one
-- that reaches back to it, it repeats the one before it, as it would have if it had come in time.
matched AS (
    SELECT
        *,
        CASE WHEN reopened AND follows THEN repeat_of WHEN by_holder THEN holder ELSE coalesce(past, id) END AS original,
        CASE
            WHEN reopened AND follows THEN NULL
            WHEN by_holder OR (holds AND past IS NULL) THEN erased_at
            ELSE past_erased_at
        END AS original_erased_at,
        -- A row that was superseded, which a newer replay brings back if nobody has taken its place. Until then it is
        -- there, and no message.
        superseded AND coalesce(replay_sequence > coalesce(row_sequence, -1), false) AS returns
    FROM known
    CROSS JOIN LATERAL (
        SELECT
            NOT holds AND NOT later AND NOT older AND past IS DISTINCT FROM id
            AND (past IS NULL OR held_from <= received_at OR past_from > received_at) AS by_holder
    ) b
),
-- The ending each record has or gets: row, ended (a repeat already), erased, repeat.
judged AS (
    SELECT
        *,
        CASE
            WHEN (in_messages OR in_statuses) AND NOT returns THEN 'row'
            WHEN ended_as IS NOT NULL AND NOT reopened THEN 'ended'
            WHEN original_erased_at IS NOT NULL THEN 'erased'
            WHEN original <> id THEN 'repeat'
            ELSE 'row'
        END AS ending
    FROM matched
),
-- What each record would do to its key: take it over, leave a window beside it, or give it back (keys.sql gave it to
-- a record that turns out to be no message: it has ended as a repeat, or was superseded).
claiming AS MATERIALIZED (
    SELECT
        *,
        CASE
            WHEN is_message AND NOT holds AND later THEN 'take'
            WHEN is_message AND NOT holds AND older AND past IS DISTINCT FROM id THEN 'past'
            WHEN NOT is_message AND holds AND erased_at IS NULL THEN 'drop'
        END AS claim
    FROM judged
    CROSS JOIN LATERAL (SELECT ending = 'row' AND (NOT superseded OR returns) AS is_message) m
),
-- One change of a key at a time: the others that want to change it are judged again, against the key as it is then;
-- and so is everyone judged against a holder that gives its key back. Mostly nobody changes any, which is why this is
-- not written with window functions: they would sort every batch (2 us a row).
first_claims AS MATERIALIZED (
    SELECT DISTINCT ON (dedup_key) dedup_key, id
    FROM claiming
    WHERE claim IS NOT NULL
    ORDER BY dedup_key, claim <> 'drop', received_at, id
),
decided AS MATERIALIZED (
    SELECT
        *,
        CASE
            WHEN claim IS NOT NULL THEN id IN (SELECT id FROM first_claims)
            ELSE dedup_key NOT IN (SELECT dedup_key FROM claiming WHERE claim = 'drop')
        END AS settled
    FROM claiming
),
kept_windows AS (
    INSERT INTO past_keys (dedup_key, id, received_at, expires_at, erased_at)
    SELECT
        dedup_key,
        CASE claim WHEN 'take' THEN holder ELSE id END,
        CASE claim WHEN 'take' THEN held_from ELSE received_at END,
        CASE claim WHEN 'take' THEN held_until ELSE expires_at END,
        CASE claim WHEN 'take' THEN erased_at END
    FROM decided
    WHERE settled AND claim IN ('take', 'past')
    ON CONFLICT DO NOTHING
),
taken_keys AS (
    UPDATE message_keys k
    SET id = j.id, received_at = j.received_at, expires_at = j.expires_at, erased_at = NULL
    FROM decided j
    WHERE j.settled AND j.claim = 'take' AND k.ctid = j.place_of_key
),
dropped_keys AS (
    DELETE FROM message_keys k
    USING decided j
    WHERE j.settled AND j.claim = 'drop' AND k.ctid = j.place_of_key
),
repeats AS (
    INSERT INTO duplicates AS d (
        id, received_at, request_id, part, original_id, channel, source, provider_message_id, policy, verdict,
        dedup_key, raw_sequence
    )
    SELECT
        id, received_at, request_id, part, original, channel, source,
        -- Such an id can hold a telephone number, and nobody is to be known by it any more.
        CASE WHEN ending <> 'erased' THEN provider_message_id END,
        policy, ending, dedup_key, raw_sequence
    FROM decided
    WHERE settled AND ending IN ('repeat', 'erased')
    ON CONFLICT (received_at, id) DO UPDATE
    SET original_id = excluded.original_id, verdict = excluded.verdict, dedup_key = excluded.dedup_key
    -- Only what was reopened gets here with an ending; the same record judged at the same time under another key
    -- keeps the ending that was first.
    WHERE EXISTS (SELECT FROM decided j WHERE j.id = excluded.id AND j.reopened)
),
closed_entries AS (
    UPDATE dead_letters e
    SET closed_at = now(),
        closed_by = CASE WHEN j.ending = 'row' THEN 'row' ELSE 'duplicate' END
    FROM decided j
    WHERE j.settled AND e.id = j.id AND e.closed_at IS NULL
)
SELECT
    CASE
        WHEN NOT settled THEN 'again'
        WHEN ending <> 'ended' THEN ending
        ELSE ended_as
    END AS verdict,
    CASE WHEN ending = 'ended' THEN repeat_of ELSE original END AS original,
    -- The table that holds the ending the id has; for duplicates only where it is to be judged anew.
    CASE
        WHEN in_messages THEN 'messages' WHEN in_statuses THEN 'message_statuses' WHEN reopened THEN 'duplicates'
    END AS ended_in,
    -- Whether content is to be written: a first row, or a correction that is newer than the row and of nobody erased.
    settled AND ending = 'row' AND CASE
        WHEN NOT (in_messages OR in_statuses) THEN true
        WHEN original = id AND original_erased_at IS NOT NULL THEN false
        ELSE coalesce(replay_sequence > coalesce(row_sequence, -1), false)
    END AS writes
FROM decided
ORDER BY place
