//! From rows to the arrays that the statements unnest: one array a column, in the order of the placeholders. Every
//! array is made from the same slice, so no two differ in length (PostgreSQL would fill up with nulls in silence).
//!
//! Encoding copies each value once, from the payload into the buffer that is sent; after it nothing is borrowed, so a
//! statement can run in a task of its own.

use proto::Millis;
use proto::kind::Class;
use sqlx::Arguments as _;
use sqlx::postgres::{PgArguments, PgBindIterExt as _};
use sqlx::types::chrono::{DateTime, Utc};

use crate::row::Row;

/// Encoding failed; no row of this kind can be sent.
pub(crate) type EncodeError = sqlx::error::BoxDynError;

/// Adds one array to `$arguments`: `$value` of each `$row` of `$rows`.
macro_rules! column {
    ($arguments:ident, $rows:expr, |$row:ident| $value:expr) => {
        $arguments.add($rows.iter().map(|$row| $value).bind_iter())?
    };
}

fn time(time: Millis) -> DateTime<Utc> {
    time.to_datetime()
}

/// The arguments of `keys.sql`.
pub(crate) fn keys(rows: &[&Row<'_>]) -> Result<PgArguments, EncodeError> {
    let mut arguments = PgArguments::default();
    column!(arguments, rows, |row| &row.envelope.key.as_bytes()[..]);
    column!(arguments, rows, |row| row.envelope.record);
    column!(arguments, rows, |row| time(row.envelope.received_at));
    column!(arguments, rows, |row| time(row.expires_at));
    Ok(arguments)
}

/// The arguments of `judge.sql`.
pub(crate) fn judge(rows: &[&Row<'_>]) -> Result<PgArguments, EncodeError> {
    let mut arguments = keys(rows)?;
    column!(arguments, rows, |row| row.replay_sequence);
    column!(arguments, rows, |row| row.policy.as_str());
    column!(arguments, rows, |row| row.envelope.request_id);
    column!(arguments, rows, |row| row.view.part());
    column!(arguments, rows, |row| row.envelope.channel.as_str());
    column!(arguments, rows, |row| row.envelope.source.as_str());
    column!(arguments, rows, |row| row.view.provider_message_id());
    column!(arguments, rows, |row| row.view.raw_sequence());
    Ok(arguments)
}

/// The arguments of `messages.sql` or `statuses.sql`, but for the last: which of the rows are to be written.
pub(crate) fn content(rows: &[&Row<'_>], class: Class) -> Result<PgArguments, EncodeError> {
    let mut arguments = PgArguments::default();
    column!(arguments, rows, |row| row.envelope.record);
    column!(arguments, rows, |row| time(row.envelope.received_at));
    column!(arguments, rows, |row| row.envelope.request_id);
    column!(arguments, rows, |row| row.view.part());
    column!(arguments, rows, |row| row.view.parts());
    column!(arguments, rows, |row| row.envelope.channel.as_str());
    column!(arguments, rows, |row| row.envelope.source.as_str());
    column!(arguments, rows, |row| &*row.view.provider);
    column!(arguments, rows, |row| row.view.verified.as_str());
    column!(arguments, rows, |row| row.view.kind.as_str());
    column!(arguments, rows, |row| row.view.provider_message_id());
    column!(arguments, rows, |row| row.view.conversation());
    column!(arguments, rows, |row| row.view.sender_address());
    column!(arguments, rows, |row| row.view.sender_name());
    column!(arguments, rows, |row| row.view.recipients());
    column!(arguments, rows, |row| row.view.subject());
    column!(arguments, rows, |row| row.view.text());
    column!(arguments, rows, |row| row.view.html());
    column!(arguments, rows, |row| row.view.attachments());
    column!(arguments, rows, |row| row.view.reply_to_id());
    column!(arguments, rows, |row| row.view.references());
    column!(arguments, rows, |row| row.view.sent_at.map(time));
    column!(arguments, rows, |row| row.view.metadata());
    column!(arguments, rows, |row| row.view.truncations());
    column!(arguments, rows, |row| row.view.raw_sequence());
    column!(arguments, rows, |row| row.view.normalizer_version());
    column!(arguments, rows, |row| row.replay_sequence);
    column!(arguments, rows, |row| &row.envelope.key.as_bytes()[..]);
    if class == Class::Status {
        column!(arguments, rows, |row| row.view.occurred_at().map(time));
        column!(arguments, rows, |row| row.view.status());
        column!(arguments, rows, |row| row.view.recipient());
        column!(arguments, rows, |row| row.view.error_code());
    }
    Ok(arguments)
}

/// The arguments of `attachments.sql`, but for the last: which of the rows are written.
pub(crate) fn attachments(rows: &[&Row<'_>]) -> Result<PgArguments, EncodeError> {
    let mut arguments = PgArguments::default();
    column!(arguments, rows, |row| row.envelope.record);
    column!(arguments, rows, |row| time(row.envelope.received_at));
    column!(arguments, rows, |row| row.view.attachments());
    Ok(arguments)
}

/// The arguments of `supersede.sql`; `None` where no row comes from a replay.
pub(crate) fn supersede(rows: &[&Row<'_>]) -> Result<Option<PgArguments>, EncodeError> {
    let replayed: Vec<&Row<'_>> = rows.iter().copied().filter(|row| row.is_replay()).collect();
    if replayed.is_empty() {
        return Ok(None);
    }
    let mut arguments = PgArguments::default();
    column!(arguments, replayed, |row| row.envelope.request_id);
    column!(arguments, replayed, |row| time(row.envelope.received_at));
    column!(arguments, replayed, |row| row.view.parts());
    column!(arguments, replayed, |row| row.replay_sequence);
    Ok(Some(arguments))
}
