//! Deletes keys whose window is long over, a stretch of the table at a time.
//!
//! What may go is for the caller to say, and the clock does not say it: a record may be judged days after it came in,
//! and until then the key it repeats has to be there.

use std::sync::atomic::{AtomicI64, Ordering};

use proto::Millis;
use sqlx::postgres::PgPool;

/// Which keys may go.
#[derive(Clone, Copy, Debug)]
pub struct Expired {
    /// Keys whose window ended before this. It must not be later than the `received_at` of the oldest record that is
    /// still to be judged, replays among them.
    pub before: Millis,
    /// Keys of erased records stay until they were erased before this: as long as a replay could bring one back.
    pub erased_before: Millis,
}

/// What one sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Keys deleted.
    pub deleted: u64,
    /// Whether both tables have been gone through to their end: nothing is left to do for now.
    pub at_end: bool,
}

/// Where the next stretch of each table begins, as a block number.
#[derive(Debug, Default)]
pub(crate) struct Cursor {
    held: AtomicI64,
    past: AtomicI64,
}

/// Goes through `blocks` blocks (8 KiB, about 70 keys each) of both tables. A key that is being judged is left alone.
pub(crate) async fn sweep(pool: &PgPool, cursor: &Cursor, expired: Expired, blocks: u32) -> Result<Swept, sqlx::Error> {
    let held = stretch(pool, &cursor.held, DELETE_HELD, expired, blocks).await?;
    let past = stretch(pool, &cursor.past, DELETE_PAST, expired, blocks).await?;
    Ok(Swept { deleted: held.deleted + past.deleted, at_end: held.at_end && past.at_end })
}

/// `$1` the first block, `$2` the first block that is not meant. Returns how many went, and the blocks there are.
const DELETE_HELD: &str = "
    WITH old AS MATERIALIZED (
        SELECT ctid AS place FROM message_keys
        WHERE ctid >= format('(%s,0)', $1)::tid AND ctid < format('(%s,0)', $2)::tid
            AND expires_at < $3 AND (erased_at IS NULL OR erased_at < $4)
        FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM message_keys k USING old WHERE k.ctid = old.place RETURNING 1
    )
    SELECT (SELECT count(*) FROM gone), pg_relation_size('message_keys') / current_setting('block_size')::bigint";
const DELETE_PAST: &str = "
    WITH old AS MATERIALIZED (
        SELECT ctid AS place FROM past_keys
        WHERE ctid >= format('(%s,0)', $1)::tid AND ctid < format('(%s,0)', $2)::tid
            AND expires_at < $3 AND (erased_at IS NULL OR erased_at < $4)
        FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM past_keys k USING old WHERE k.ctid = old.place RETURNING 1
    )
    SELECT (SELECT count(*) FROM gone), pg_relation_size('past_keys') / current_setting('block_size')::bigint";

async fn stretch(
    pool: &PgPool,
    cursor: &AtomicI64,
    statement: &'static str,
    expired: Expired,
    blocks: u32,
) -> Result<Swept, sqlx::Error> {
    let from = cursor.load(Ordering::Relaxed);
    let to = from.saturating_add(i64::from(blocks.max(1)));
    let (deleted, there): (i64, i64) = sqlx::query_as(statement)
        .bind(from)
        .bind(to)
        .bind(expired.before.to_datetime())
        .bind(expired.erased_before.to_datetime())
        .fetch_one(pool)
        .await?;
    let at_end = to >= there;
    cursor.store(if at_end { 0 } else { to }, Ordering::Relaxed);
    Ok(Swept { deleted: deleted.unsigned_abs(), at_end })
}
