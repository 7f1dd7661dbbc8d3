-- Writes the records of a batch that judge.sql lets through and that are statuses. Returns the ids it wrote.
INSERT INTO message_statuses AS present (
    id, received_at, request_id, part, parts, channel, source, provider, verified, kind, provider_message_id,
    conversation, sender_address, sender_name, recipients, subject, text, html, attachments, reply_to_id,
    thread_references, sent_at, metadata, truncations, raw_sequence, normalizer_version, replay_sequence,
    dedup_key, occurred_at, status, recipient, error_code
)
SELECT
    id, received_at, request_id, part, parts, channel, source, provider, verified, kind, provider_message_id,
    conversation, sender_address, sender_name, recipients::jsonb, subject, text, html, attachments::jsonb,
    reply_to_id, thread_references::jsonb, sent_at, metadata::jsonb, truncations::jsonb, raw_sequence,
    normalizer_version, replay_sequence, dedup_key, occurred_at, status, recipient, error_code
FROM unnest(
    $1::uuid[], $2::timestamptz[], $3::uuid[], $4::int[], $5::int[], $6::text[], $7::text[], $8::text[],
    $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[],
    $17::text[], $18::text[], $19::text[], $20::text[], $21::text[], $22::timestamptz[], $23::text[],
    $24::text[], $25::bigint[], $26::int[], $27::bigint[], $28::bytea[], $29::timestamptz[], $30::text[],
    $31::text[], $32::text[], $33::boolean[]
) AS i (
    id, received_at, request_id, part, parts, channel, source, provider, verified, kind, provider_message_id,
    conversation, sender_address, sender_name, recipients, subject, text, html, attachments, reply_to_id,
    thread_references, sent_at, metadata, truncations, raw_sequence, normalizer_version, replay_sequence,
    dedup_key, occurred_at, status, recipient, error_code, written
)
WHERE written
ON CONFLICT (received_at, id) DO UPDATE
SET
    request_id = excluded.request_id, part = excluded.part, parts = excluded.parts, channel = excluded.channel,
    source = excluded.source, provider = excluded.provider, verified = excluded.verified, kind = excluded.kind,
    provider_message_id = excluded.provider_message_id, conversation = excluded.conversation,
    sender_address = excluded.sender_address, sender_name = excluded.sender_name,
    recipients = excluded.recipients, subject = excluded.subject, text = excluded.text, html = excluded.html,
    attachments = excluded.attachments, reply_to_id = excluded.reply_to_id,
    thread_references = excluded.thread_references, sent_at = excluded.sent_at, metadata = excluded.metadata,
    truncations = excluded.truncations, raw_sequence = excluded.raw_sequence,
    normalizer_version = excluded.normalizer_version, replay_sequence = excluded.replay_sequence,
    dedup_key = excluded.dedup_key, occurred_at = excluded.occurred_at, status = excluded.status,
    recipient = excluded.recipient, error_code = excluded.error_code, updated_at = now(), superseded_at = NULL
-- A correction by a replay that is newer than the row; anything else that finds its row is a redelivery.
WHERE excluded.replay_sequence > coalesce(present.replay_sequence, -1)
RETURNING id
