//! Gets erased bytes out of the files of the tables.
//!
//! What a reader would get wrong: after `DELETE` and `VACUUM` the bytes of a row are still in its page until something
//! else is written over them, and samples of them in the planner's statistics. Only a table that is written anew
//! (`VACUUM FULL`) is free of them. That stops whoever wants to use that month meanwhile, the persister among them, so
//! it is for the caller to say up to which size.

use chrono::{DateTime, Utc};
use proto::Millis;
use sqlx::AssertSqlSafe;

use super::{Erasure, ErasureError};
use crate::fault;
use crate::partitions::Month;

/// The tables of a month, and those without months that an erasure changes.
const TABLES: [&str; 4] = ["messages", "message_statuses", "duplicates", "message_attachments"];
const STATISTICS: &str = "pg_catalog.pg_statistic";
/// SQLSTATE of a lock that was not had in time.
const LOCK_NOT_AVAILABLE: &str = "55P03";
/// The months of what was erased, and of its repeats.
const MONTHS: &str = "
    SELECT DISTINCT date_trunc('month', d.received_at AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' AS month
    FROM duplicates e
    JOIN duplicates d ON d.original_id = e.id
    WHERE e.verdict = 'erased' AND e.id = e.original_id AND e.stored_at > now() - interval '7 days'
    ORDER BY month";

/// What became of the files of the tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tidied {
    /// Written anew: nothing of what was erased is in them.
    pub rewritten: Vec<String>,
    /// Too large to be written anew in passing, or in use all the time: what was erased is in their free space until that
    /// is used again.
    pub vacuumed: Vec<String>,
}

impl Erasure {
    /// Writes the months anew in which something was erased in the last days, where a table has at most `most_bytes`; clears
    /// the others. Of the last days, so that a run makes up for one that was interrupted here.
    pub async fn tidy(&self, most_bytes: u64) -> Result<Tidied, ErasureError> {
        let months: Vec<DateTime<Utc>> =
            sqlx::query_scalar(MONTHS).fetch_all(&self.pool).await.map_err(ErasureError::Find)?;
        let months = months.iter().filter_map(|month| Millis::from_unix(month.timestamp_millis())).map(Month::of);
        let mut tidied = Tidied::default();
        for month in months {
            for table in TABLES {
                let partition = month.partition_of(table);
                let Some(bytes) = self.size(&partition).await? else { continue };
                let rewritten = bytes <= most_bytes && self.rewrite(&partition).await?;
                if !rewritten {
                    self.vacuum(&partition, "ANALYZE").await?;
                }
                if rewritten { &mut tidied.rewritten } else { &mut tidied.vacuumed }.push(partition);
            }
        }
        if !tidied.rewritten.is_empty() || !tidied.vacuumed.is_empty() {
            // Each vacuum has replaced its own samples, and left the old ones where they were.
            self.rewrite(STATISTICS).await?;
        }
        Ok(tidied)
    }

    async fn size(&self, table: &str) -> Result<Option<u64>, ErasureError> {
        let size: Option<i64> = sqlx::query_scalar("SELECT pg_total_relation_size(to_regclass($1))")
            .bind(table)
            .fetch_one(&self.pool)
            .await
            .map_err(ErasureError::Find)?;
        Ok(size.map(i64::unsigned_abs))
    }

    /// False where somebody reads the table all the time: whoever waits for it has everybody else wait behind.
    async fn rewrite(&self, table: &str) -> Result<bool, ErasureError> {
        match self.vacuum(table, "FULL, ANALYZE").await {
            Ok(()) => Ok(true),
            Err(ErasureError::Tidy { source, .. })
                if fault::sqlstate(&source).as_deref() == Some(LOCK_NOT_AVAILABLE) =>
            {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    async fn vacuum(&self, table: &str, how: &str) -> Result<(), ErasureError> {
        let statement = AssertSqlSafe(format!("VACUUM ({how}) {table}"));
        let failed = |source| ErasureError::Tidy { table: table.to_owned(), source };
        sqlx::raw_sql(statement).execute(&self.pool).await.map(|_| ()).map_err(failed)
    }
}
