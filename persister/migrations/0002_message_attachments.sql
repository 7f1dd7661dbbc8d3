-- Which record refers to which file of the attachment store. A file's name there is the month of received_at and its
-- BLAKE3, `YYYY-MM/{blake3}`, so several records of a month can refer to one; the files of a month are deleted once its
-- partition here is dropped. What the sender says of a file is in the record's own `attachments`, in the same order.
CREATE TABLE message_attachments (
    received_at timestamptz NOT NULL,
    -- The record: in messages or message_statuses.
    id          uuid        NOT NULL,
    -- Its place in the record's attachments, from 0.
    position    integer     NOT NULL,
    -- In hex.
    blake3      text        NOT NULL,
    size        bigint      NOT NULL,
    PRIMARY KEY (received_at, id, position)
) PARTITION BY RANGE (received_at);

-- Before a file is deleted: does another record need it?
CREATE INDEX message_attachments_blake3 ON message_attachments (blake3);
