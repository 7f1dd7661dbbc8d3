//! Deletes rows that are older than theirs are kept, a stretch of a table at a time.
//!
//! Every stretch is a transaction of its own, so whoever is killed has deleted some and not others, and nothing else.
//! Several processes may do it at the same time: a row that somebody else holds, to delete it or to correct it, is left
//! alone, and found another time. So is a row that was stored less than a day ago: it came late and is old already, and
//! whoever polls the table would never see it.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use proto::Millis;
use runtime::stream_info::Reach;
use sqlx::postgres::PgPool;
use tracing::info;
use uuid::Uuid;

use crate::metrics::Metrics;
use crate::retention::kept::{Group, Kept, before};
use crate::retention::walk::{Place, Walk};
use crate::store::{Store, StoreError};

/// Rows gone through by one statement.
const ROWS: i64 = 2000;

/// Goes through the tables, and remembers how far it has come.
#[derive(Debug, Default)]
pub struct Sweeper {
    groups: Vec<(Group, [Walk; TABLES.len()])>,
}

/// What was deleted, by table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Deleted {
    rows: [u64; TABLES.len()],
    references: u64,
}

impl Sweeper {
    /// Deletes what is too old at `reach.now`, until there is no more or `budget` is used up, but at least one
    /// stretch of each table for each group. Nothing that was received before `late` comes any more. What fails in one
    /// table for one group does not stop the others; the first of it is told.
    pub async fn sweep(
        &mut self,
        store: &Store,
        kept: &Kept,
        reach: Reach,
        late: Option<Millis>,
        budget: Duration,
        metrics: &Metrics,
    ) -> Result<(), StoreError> {
        let Some(now) = Millis::from_unix(reach.now) else { return Ok(()) };
        self.follow(kept);
        self.groups.iter_mut().flat_map(|(_, walks)| walks).for_each(|walk| walk.look(now, late));
        let mut deleted = Deleted::default();
        let swept = self.stretches(store.pool(), now, budget, &mut deleted).await;
        // Also of a look that failed: what is committed is gone.
        deleted.tell(metrics);
        swept.map_err(StoreError::Expire)
    }

    /// Goes by another configuration. Who is in the same group as before is where it was.
    fn follow(&mut self, kept: &Kept) {
        let known = std::mem::take(&mut self.groups);
        let walks_of = |group: &Group| known.iter().find(|(other, _)| other == group).map(|(_, walks)| walks.clone());
        self.groups =
            kept.groups().into_iter().map(|group| (group.clone(), walks_of(&group).unwrap_or_default())).collect();
    }

    async fn stretches(
        &mut self,
        pool: &PgPool,
        now: Millis,
        budget: Duration,
        deleted: &mut Deleted,
    ) -> Result<(), sqlx::Error> {
        let begun = Instant::now();
        let mut failed = None;
        loop {
            let mut rests = true;
            // One stretch each: none keeps the others from theirs, in however short a time.
            for (group, walks) in &mut self.groups {
                let Some(front) = before(now.as_unix(), group.time) else { continue };
                for ((table, walk), rows) in TABLES.iter().zip(walks).zip(&mut deleted.rows) {
                    if walk.rests() {
                        continue;
                    }
                    match table.step(pool, group, walk, front).await {
                        Ok(stretch) => {
                            *rows += stretch.deleted;
                            deleted.references += stretch.references;
                        }
                        Err(error) => {
                            walk.fails();
                            failed.get_or_insert(error);
                        }
                    }
                    rests &= walk.rests();
                }
            }
            if rests || begun.elapsed() >= budget {
                return failed.map_or(Ok(()), Err);
            }
        }
    }
}

impl Deleted {
    fn tell(&self, metrics: &Metrics) {
        for (table, rows) in TABLES.iter().zip(self.rows) {
            metrics.deleted_rows(table.name, rows);
            if rows > 0 {
                info!(table = table.name, rows, "deleted rows whose own retention is over");
            }
        }
        metrics.deleted_rows(REFERENCES, self.references);
    }
}

/// The table that says which record refers to which file.
const REFERENCES: &str = "message_attachments";

/// The statements of a table.
struct Table {
    name: &'static str,
    somewhere: &'static str,
    stretch: &'static str,
}

/// The `received_at` of a row, if there is one.
type Moment = Option<DateTime<Utc>>;

/// What one statement did.
struct Stretch {
    /// Rows gone through.
    rows: i64,
    deleted: u64,
    references: u64,
    /// The last row that was gone through.
    to: Option<Place>,
    /// Before the first row that would have gone, and did not.
    left: Option<Place>,
}

/// `somewhere`: a moment between the oldest row and `$1`, and the oldest row one time in eleven.
///
/// `stretch`: after `$1` and `$2`, before `$3`, the next `$4` rows. Of these go the ones of the sources `$5` (channels) and
/// `$6` (names), stored at least a day ago and held by nobody; the moment of the first of theirs that stays is told. Rows of
/// the same moment as its first or last go with it, which are before `$3` too.
///
/// Nothing is joined: the planner takes a join by key over all months for so costly that it compares every row with every
/// other. `IS TRUE` keeps it from making a join of an `IN`, which it looks up in a hash instead.
macro_rules! table {
    ($name:literal) => {
        Table {
            name: $name,
            somewhere: concat!(
                "SELECT oldest + greatest(random() * 1.1 - 0.1, 0) * ($1 - oldest)
                 FROM (SELECT least(min(received_at), $1::timestamptz) AS oldest FROM ",
                $name,
                ") t"
            ),
            stretch: concat!(
                "WITH stretch AS MATERIALIZED (
                    SELECT
                        received_at, id,
                        ((channel, source) IN (SELECT * FROM unnest($5::text[], $6::text[]))) IS TRUE AS theirs
                    FROM ",
                $name,
                " WHERE received_at >= $1 AND (received_at, id) > ($1, $2) AND received_at < $3
                    ORDER BY received_at, id
                    LIMIT $4
                ), span AS MATERIALIZED (
                    SELECT min(received_at) AS first, max(received_at) AS last, count(*) AS rows FROM stretch
                ), old AS MATERIALIZED (
                    SELECT received_at, id FROM ",
                $name,
                " WHERE received_at >= (SELECT first FROM span) AND received_at <= (SELECT last FROM span)
                        AND ((channel, source) IN (SELECT * FROM unnest($5::text[], $6::text[]))) IS TRUE
                        AND stored_at < now() - interval '1 day'
                    FOR UPDATE SKIP LOCKED
                ), gone AS (
                    DELETE FROM ",
                $name,
                " WHERE received_at >= (SELECT first FROM span) AND received_at <= (SELECT last FROM span)
                        AND ((received_at, id) IN (SELECT * FROM old)) IS TRUE
                    RETURNING received_at, id
                ), unneeded AS (
                    DELETE FROM message_attachments
                    WHERE received_at >= (SELECT first FROM span) AND received_at <= (SELECT last FROM span)
                        AND ((received_at, id) IN (SELECT * FROM gone)) IS TRUE
                    RETURNING 1
                )
                SELECT
                    rows, (SELECT count(*) FROM gone), (SELECT count(*) FROM unneeded), received_at, id,
                    (SELECT min(received_at) FROM stretch
                     WHERE theirs AND ((received_at, id) IN (SELECT * FROM gone)) IS NOT TRUE)
                FROM span
                LEFT JOIN (SELECT received_at, id FROM stretch ORDER BY received_at DESC, id DESC LIMIT 1) last ON true"
            ),
        }
    };
}

const TABLES: [Table; 3] = [table!("messages"), table!("message_statuses"), table!("duplicates")];

impl Table {
    /// One stretch of a walk.
    async fn step(&self, pool: &PgPool, group: &Group, walk: &mut Walk, front: Millis) -> Result<Stretch, sqlx::Error> {
        let from = match walk.place() {
            Some(place) => place,
            None => self.somewhere(pool, front).await?,
        };
        let stretch = self.stretch(pool, group, from, front).await?;
        walk.came_to(stretch.to.unwrap_or(from), stretch.rows < ROWS);
        if let Some(left) = stretch.left {
            walk.leaves(left);
        }
        Ok(stretch)
    }

    async fn somewhere(&self, pool: &PgPool, front: Millis) -> Result<Place, sqlx::Error> {
        let moment = sqlx::query_scalar(self.somewhere).bind(front.to_datetime()).fetch_one(pool).await?;
        Ok(Place::at(moment))
    }

    async fn stretch(&self, pool: &PgPool, group: &Group, from: Place, front: Millis) -> Result<Stretch, sqlx::Error> {
        let (channels, sources): (Vec<String>, Vec<String>) = group.sources.iter().cloned().unzip();
        let (rows, deleted, references, received_at, id, left): (i64, i64, i64, Moment, Option<Uuid>, Moment) =
            sqlx::query_as(self.stretch)
                .bind(from.received_at)
                .bind(from.id)
                .bind(front.to_datetime())
                .bind(ROWS)
                .bind(channels)
                .bind(sources)
                .fetch_one(pool)
                .await?;
        Ok(Stretch {
            rows,
            deleted: deleted.unsigned_abs(),
            references: references.unsigned_abs(),
            to: received_at.zip(id).map(|(received_at, id)| Place { received_at, id }),
            left: left.map(Place::at),
        })
    }
}
