//! The months: made when a batch needs them, dropped when retention is over.
//!
//! Both by functions of the database, which run with the rights of the tables' owner (`migrations/0003_months.sql`): the
//! persister has none of its own to make or drop a table.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use proto::Millis;
use sqlx::postgres::PgPool;

/// The tables that are partitioned by month of `received_at`, in the order in which a month is dropped: what says which
/// files it needs goes last.
const TABLES: [&str; 4] = ["messages", "message_statuses", "duplicates", FILES];
/// The one of them by which the files of a month are known to be needed.
const FILES: &str = "message_attachments";

/// How many months are remembered as made; beyond, the memory starts anew. Nobody receives over that many months.
const REMEMBERED: usize = 1024;

/// A calendar month in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Month {
    year: i32,
    month: u32,
}

/// A month's partition that was dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DroppedMonth {
    /// The table it was part of.
    pub table: String,
    /// The month.
    pub month: Month,
}

impl Month {
    /// The month that holds a moment.
    pub fn of(time: Millis) -> Self {
        let (year, month) = time.month();
        Self { year, month }
    }

    /// The month after this one.
    #[must_use]
    pub fn next(self) -> Self {
        if self.month == 12 {
            Self { year: self.year + 1, month: 1 }
        } else {
            Self { year: self.year, month: self.month + 1 }
        }
    }

    pub(crate) fn partition_of(self, table: &str) -> String {
        format!("{table}_{:04}_{:02}", self.year, self.month)
    }

    fn first_day(self) -> String {
        format!("{:04}-{:02}-01", self.year, self.month)
    }

    fn begins(self) -> String {
        format!("{} 00:00:00+00", self.first_day())
    }

    /// Reads `YYYY-MM`.
    fn parse(text: &str) -> Option<Self> {
        let (year, month) = text.split_once('-')?;
        let month = Self { year: year.parse().ok()?, month: month.parse().ok()? };
        (month.to_string() == text).then_some(month)
    }

    /// Undoes [`Self::partition_of`].
    fn of_partition(table: &str, partition: &str) -> Option<Self> {
        let (year, month) = partition.strip_prefix(table)?.strip_prefix('_')?.split_once('_')?;
        let month = Self { year: year.parse().ok()?, month: month.parse().ok()? };
        (month.partition_of(table) == partition).then_some(month)
    }
}

impl std::fmt::Display for Month {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

/// Which months are known to be there.
#[derive(Debug, Default)]
pub(crate) struct Partitions {
    known: Mutex<HashSet<Month>>,
}

impl Partitions {
    /// Makes what is missing of `months`.
    pub(crate) async fn ensure(&self, pool: &PgPool, months: HashSet<Month>) -> Result<(), sqlx::Error> {
        for month in months {
            if !self.known().contains(&month) {
                make(pool, month).await?;
                let mut known = self.known();
                if known.len() >= REMEMBERED {
                    known.clear();
                }
                known.insert(month);
            }
        }
        Ok(())
    }

    /// Forgets what was known: somebody has dropped a month.
    pub(crate) fn forget(&self) {
        self.known().clear();
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashSet<Month>> {
        // A set of months is whole after every step of every holder.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes a month of every table, if it is not there.
async fn make(pool: &PgPool, month: Month) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT penstock_make_month($1::text::date)").bind(month.first_day()).execute(pool).await?;
    tracing::info!(%month, "month is there");
    Ok(())
}

/// Drops the months that ended at or before `cutoff`, oldest first, at most `most` partitions, and adds them to `dropped`.
/// Waits at most a second for each: the lock stops everybody else, so a month that is being read is dropped another time,
/// and after `most` such months the others are, too. The first failure is told at the end.
pub(crate) async fn drop_before(
    pool: &PgPool,
    cutoff: Millis,
    most: usize,
    dropped: &mut Vec<DroppedMonth>,
) -> Result<(), sqlx::Error> {
    let oldest_kept = Month::of(cutoff);
    let mut old: Vec<DroppedMonth> = Vec::new();
    for table in TABLES {
        let months = months_of(pool, table).await?.into_iter().filter(|month| *month < oldest_kept);
        old.extend(months.map(|month| DroppedMonth { table: table.to_owned(), month }));
    }
    old.sort_by_key(|dropped| dropped.month);
    let (mut stuck, mut failed) = (HashSet::new(), None);
    for old in old {
        if dropped.len() >= most || stuck.len() >= most {
            break;
        }
        // The rest of such a month waits with it: its files stay as long as it says which they are.
        if stuck.contains(&old.month) {
            continue;
        }
        let partition = old.month.partition_of(&old.table);
        let drop = sqlx::query("SELECT penstock_drop_month($1, $2::text::date)");
        match drop.bind(&old.table).bind(old.month.first_day()).execute(pool).await {
            Ok(_) => {
                tracing::info!(%partition, "month dropped: its retention is over");
                dropped.push(old);
            }
            Err(error) => {
                stuck.insert(old.month);
                failed.get_or_insert(error);
            }
        }
    }
    failed.map_or(Ok(()), Err)
}

/// The months whose files are needed, or may be: those that are there, and all from `cutoff` on.
#[derive(Debug)]
pub struct Needed {
    present: HashSet<Month>,
    from: Month,
}

impl Needed {
    pub(crate) async fn read(pool: &PgPool, cutoff: Millis) -> Result<Self, sqlx::Error> {
        Ok(Self { present: months_of(pool, FILES).await?.into_iter().collect(), from: Month::of(cutoff) })
    }

    /// Whether the files of this month are surely needed by nobody. What is not named after a month is none of ours.
    pub fn is_over(&self, month: &str) -> bool {
        Month::parse(month).is_some_and(|month| month < self.from && !self.present.contains(&month))
    }

    /// Whether this month is there and ended before the cutoff.
    pub fn is_settled(&self, month: &str) -> bool {
        Month::parse(month).is_some_and(|month| month < self.from && self.present.contains(&month))
    }
}

/// Those of these files of a month that no row of the month refers to. Of what is no month: none.
pub(crate) async fn unreferenced(
    pool: &PgPool,
    month: &str,
    files: &[blake3::Hash],
) -> Result<Vec<blake3::Hash>, sqlx::Error> {
    let Some(month) = Month::parse(month) else { return Ok(Vec::new()) };
    let names: Vec<String> = files.iter().map(|hash| hash.to_hex().to_string()).collect();
    let unreferenced: Vec<bool> = sqlx::query_scalar(
        "SELECT NOT EXISTS (
            SELECT FROM message_attachments a
            WHERE a.blake3 = f.name AND a.received_at >= $2::text::timestamptz AND a.received_at < $3::text::timestamptz
         ) FROM unnest($1::text[]) WITH ORDINALITY AS f (name, place) ORDER BY f.place",
    )
    .bind(names)
    .bind(month.begins())
    .bind(month.next().begins())
    .fetch_all(pool)
    .await?;
    Ok(files.iter().zip(unreferenced).filter(|(_, unreferenced)| *unreferenced).map(|(file, _)| *file).collect())
}

/// The months of a table that are there.
async fn months_of(pool: &PgPool, table: &str) -> Result<Vec<Month>, sqlx::Error> {
    let partitions: Vec<String> = sqlx::query_scalar(
        "SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
         WHERE i.inhparent = $1::text::regclass",
    )
    .bind(table)
    .fetch_all(pool)
    .await?;
    Ok(partitions.iter().filter_map(|partition| Month::of_partition(table, partition)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_named_after_its_month() {
        let month = Month::of("2026-12-31T23:59:59.999Z".parse().unwrap());
        assert_eq!(month.partition_of("messages"), "messages_2026_12");
        assert_eq!(month.first_day(), "2026-12-01");
        assert_eq!(Month::of_partition("messages", "messages_2026_12"), Some(month));
        for other in ["messages_2026_1", "messages_old", "messages_2026_12_x", "duplicates_2026_12"] {
            assert_eq!(Month::of_partition("messages", other), None, "{other}");
        }
    }

    #[test]
    fn files_are_needed_while_their_month_is_there_or_is_not_over() {
        let month = |text: &str| Month::parse(text).unwrap();
        let needed = Needed { present: HashSet::from([month("2026-09")]), from: month("2026-11") };
        let over: Vec<_> = ["2026-08", "2026-09", "2026-10", "2026-11", "2026-12", "2026-8", "notes", "2026-00-x"]
            .into_iter()
            .filter(|name| needed.is_over(name))
            .collect();
        assert_eq!(over, ["2026-08", "2026-10"]);
    }
}
