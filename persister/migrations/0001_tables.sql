-- The tables of Penstock. `messages` is what applications read; the rest says why a message is or is not there.
--
-- The big ones are partitioned by month of received_at, so that retention drops a table instead of deleting rows.
-- There is no default partition: a row that fell into one would make its month impossible to create later (23514).
-- The persister makes the months that a batch needs.
--
-- A unique index of a partitioned table has to hold the partition key, hence (received_at, id). id is a UUIDv7 of
-- received_at, so the pair is as unique as id alone, and new entries go to the right edge of the index.

CREATE TABLE messages (
    id                  uuid        NOT NULL,
    received_at         timestamptz NOT NULL,
    request_id          uuid        NOT NULL,
    part                integer     NOT NULL,
    parts               integer     NOT NULL,
    channel             text        NOT NULL,
    source              text        NOT NULL,
    provider            text        NOT NULL,
    verified            text        NOT NULL,
    kind                text        NOT NULL,
    provider_message_id text,
    conversation        text,
    sender_address      text,
    sender_name         text,
    recipients          jsonb       NOT NULL,
    subject             text,
    text                text,
    html                text,
    attachments         jsonb       NOT NULL,
    reply_to_id         text,
    thread_references   jsonb       NOT NULL,
    sent_at             timestamptz,
    metadata            jsonb       NOT NULL,
    truncations         jsonb       NOT NULL,
    raw_sequence        bigint      NOT NULL,
    normalizer_version  integer     NOT NULL,
    -- The replay that last corrected the row; null: never corrected.
    replay_sequence     bigint,
    dedup_key           bytea       NOT NULL,
    stored_at           timestamptz NOT NULL DEFAULT now(),
    updated_at          timestamptz,
    -- Set when a later reading of the request no longer yields this record.
    superseded_at       timestamptz,
    PRIMARY KEY (received_at, id)
) PARTITION BY RANGE (received_at);

-- Texts come from outside and an index entry has an end (2704 bytes, error 54000): the first 512 characters are
-- indexed, so a query says `left(conversation, 512) = left($1, 512) AND conversation = $1`.
-- "Show the conversation": received_at behind it saves the sort.
CREATE INDEX messages_conversation ON messages (left(conversation, 512), received_at);
-- "What did this person write": support, and requests under data protection law.
CREATE INDEX messages_sender ON messages (left(sender_address, 512), received_at);
-- From a provider's log, status, reaction or reply to the message.
CREATE INDEX messages_provider_message_id ON messages (left(provider_message_id, 512));
-- From a Penstock-Id, which is what a provider's support quotes, to what became of it. Ordered by time: nearly free.
CREATE INDEX messages_request_id ON messages (request_id);

-- A status has every column of a message. A bounce is a mail with subject, text and attachments, so leaving these out
-- would lose content; an absent one costs a bit; and a replay that finds out that a record is of the other kind moves
-- it without losing anything.
CREATE TABLE message_statuses (
    id                  uuid        NOT NULL,
    received_at         timestamptz NOT NULL,
    request_id          uuid        NOT NULL,
    part                integer     NOT NULL,
    parts               integer     NOT NULL,
    channel             text        NOT NULL,
    source              text        NOT NULL,
    provider            text        NOT NULL,
    verified            text        NOT NULL,
    kind                text        NOT NULL,
    provider_message_id text,
    conversation        text,
    sender_address      text,
    sender_name         text,
    recipients          jsonb       NOT NULL,
    subject             text,
    text                text,
    html                text,
    attachments         jsonb       NOT NULL,
    reply_to_id         text,
    thread_references   jsonb       NOT NULL,
    sent_at             timestamptz,
    metadata            jsonb       NOT NULL,
    truncations         jsonb       NOT NULL,
    raw_sequence        bigint      NOT NULL,
    normalizer_version  integer     NOT NULL,
    replay_sequence     bigint,
    dedup_key           bytea       NOT NULL,
    occurred_at         timestamptz,
    status              text,
    recipient           text,
    error_code          text,
    stored_at           timestamptz NOT NULL DEFAULT now(),
    updated_at          timestamptz,
    superseded_at       timestamptz,
    PRIMARY KEY (received_at, id)
) PARTITION BY RANGE (received_at);

-- From a message to its states: the one question a status is kept for.
CREATE INDEX message_statuses_provider_message_id ON message_statuses (left(provider_message_id, 512));
CREATE INDEX message_statuses_request_id ON message_statuses (request_id);

-- What was not stored because it had been stored before (`repeat`), or because it had been erased (`erased`).
-- original_id is the record that was stored.
CREATE TABLE duplicates (
    id                  uuid        NOT NULL,
    received_at         timestamptz NOT NULL,
    request_id          uuid        NOT NULL,
    part                integer     NOT NULL,
    original_id         uuid        NOT NULL,
    channel             text        NOT NULL,
    source              text        NOT NULL,
    provider_message_id text,
    policy              text        NOT NULL,
    verdict             text        NOT NULL,
    dedup_key           bytea       NOT NULL,
    raw_sequence        bigint      NOT NULL,
    stored_at           timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (received_at, id)
) PARTITION BY RANGE (received_at);

-- Both answer "where is my message?", which is asked with the one id or the other.
CREATE INDEX duplicates_request_id ON duplicates (request_id);
CREATE INDEX duplicates_provider_message_id ON duplicates (left(provider_message_id, 512));

-- What could not be made a row. The content is in the stream DLQ, never here. Few: not partitioned.
CREATE TABLE dead_letters (
    id          uuid        NOT NULL PRIMARY KEY,
    received_at timestamptz NOT NULL,
    request_id  uuid        NOT NULL,
    part        integer     NOT NULL,
    stage       text        NOT NULL,
    channel     text        NOT NULL,
    source      text        NOT NULL,
    reason      text        NOT NULL,
    detail      text        NOT NULL,
    stored_at   timestamptz NOT NULL DEFAULT now(),
    closed_at   timestamptz,
    -- The table that holds the id's ending, or the word of whoever closed it by hand.
    closed_by   text
);

CREATE INDEX dead_letters_request_id ON dead_letters (request_id);
-- Asked about every record of every batch ("is there an entry to close?"), and small however many are closed.
CREATE INDEX dead_letters_open ON dead_letters (id) WHERE closed_at IS NULL;

-- Who holds a key, and from when to when. Every judgement about a key is made under the lock of its row here.
-- No index on expires_at: it would be written with every message to serve a sweep that reads the table in order, and
-- a takeover could no longer be a HOT update. The space of fillfactor is what those updates use.
CREATE TABLE message_keys (
    dedup_key   bytea       NOT NULL PRIMARY KEY,
    id          uuid        NOT NULL,
    received_at timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    erased_at   timestamptz
) WITH (fillfactor = 90);

-- Windows of a key other than its holder's: of those it was taken over from, and of records that came in late and
-- were older than the holder's window reaches back. Without them the repeat of such a record, itself late, would be a
-- second row: with a window of 10 minutes, a replay mixes records of several windows all the time.
CREATE TABLE past_keys (
    dedup_key   bytea       NOT NULL,
    id          uuid        NOT NULL,
    received_at timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    erased_at   timestamptz,
    PRIMARY KEY (dedup_key, received_at, id)
);
