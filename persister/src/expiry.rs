//! Deletes keys whose window is long over, a stretch of the table at a time.
//!
//! What may go is for the caller to say, and the clock does not say it: a record may be judged days after it came in,
//! and until then the key it repeats has to be there.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

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
    /// Whether both tables have been gone through to their end; the next sweep begins at their beginning.
    pub at_end: bool,
}

/// Where the next stretch of each table begins.
#[derive(Debug, Default)]
pub(crate) struct Cursor {
    held: Place,
    past: Place,
}

/// A block number; before the first stretch none, which means a random one. The place is forgotten with the process:
/// if every process began at the beginning, one that is restarted often would never reach the end.
#[derive(Debug)]
struct Place(AtomicI64);

impl Default for Place {
    fn default() -> Self {
        Self(AtomicI64::new(ANYWHERE))
    }
}

const ANYWHERE: i64 = -1;

/// Goes through both tables, `blocks` blocks (8 KiB, about 80 keys each) at a time, until their ends or until `budget`
/// is used up for each, but at least one stretch. A key that is being judged is left alone.
pub(crate) async fn sweep(
    pool: &PgPool,
    cursor: &Cursor,
    expired: Expired,
    blocks: u32,
    budget: Duration,
) -> Result<Swept, sqlx::Error> {
    let mut swept = Swept { deleted: 0, at_end: true };
    for (place, statement) in [(&cursor.held, DELETE_HELD), (&cursor.past, DELETE_PAST)] {
        let begun = Instant::now();
        loop {
            let stretch = stretch(pool, &place.0, statement, expired, blocks).await?;
            swept.deleted += stretch.deleted;
            if stretch.at_end {
                break;
            }
            if begun.elapsed() >= budget {
                swept.at_end = false;
                break;
            }
        }
    }
    Ok(swept)
}

/// `$1` the first block, `$2` how many. Returns how many keys went, the block after the last, and the blocks there are.
const DELETE_HELD: &str = "
    WITH blocks AS MATERIALIZED (
        SELECT pg_relation_size('message_keys') / current_setting('block_size')::bigint AS there
    ), first AS MATERIALIZED (
        SELECT CASE WHEN $1::bigint < 0 THEN floor(random() * there)::bigint ELSE $1::bigint END AS block FROM blocks
    ), old AS MATERIALIZED (
        SELECT ctid AS place FROM message_keys
        WHERE ctid >= (SELECT format('(%s,0)', block)::tid FROM first)
            AND ctid < (SELECT format('(%s,0)', block + $2::bigint)::tid FROM first)
            AND expires_at < $3 AND (erased_at IS NULL OR erased_at < $4)
        FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM message_keys k USING old WHERE k.ctid = old.place RETURNING 1
    )
    SELECT (SELECT count(*) FROM gone), block + $2::bigint, there FROM first, blocks";
const DELETE_PAST: &str = "
    WITH blocks AS MATERIALIZED (
        SELECT pg_relation_size('past_keys') / current_setting('block_size')::bigint AS there
    ), first AS MATERIALIZED (
        SELECT CASE WHEN $1::bigint < 0 THEN floor(random() * there)::bigint ELSE $1::bigint END AS block FROM blocks
    ), old AS MATERIALIZED (
        SELECT ctid AS place FROM past_keys
        WHERE ctid >= (SELECT format('(%s,0)', block)::tid FROM first)
            AND ctid < (SELECT format('(%s,0)', block + $2::bigint)::tid FROM first)
            AND expires_at < $3 AND (erased_at IS NULL OR erased_at < $4)
        FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM past_keys k USING old WHERE k.ctid = old.place RETURNING 1
    )
    SELECT (SELECT count(*) FROM gone), block + $2::bigint, there FROM first, blocks";

async fn stretch(
    pool: &PgPool,
    place: &AtomicI64,
    statement: &'static str,
    expired: Expired,
    blocks: u32,
) -> Result<Swept, sqlx::Error> {
    let (deleted, to, there): (i64, i64, i64) = sqlx::query_as(statement)
        .bind(place.load(Ordering::Relaxed))
        .bind(i64::from(blocks.max(1)))
        .bind(expired.before.to_datetime())
        .bind(expired.erased_before.to_datetime())
        .fetch_one(pool)
        .await?;
    let at_end = to >= there;
    place.store(if at_end { 0 } else { to }, Ordering::Relaxed);
    Ok(Swept { deleted: deleted.unsigned_abs(), at_end })
}
