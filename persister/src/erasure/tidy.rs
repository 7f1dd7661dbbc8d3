//! Gets erased bytes out of the files of the tables.
//!
//! What a reader would get wrong: after `DELETE` and `VACUUM` the bytes of a row are still in its page until something
//! else is written over them, and samples of them in the planner's statistics. Only a table that is written anew
//! (`VACUUM FULL`) is free of them. That stops whoever wants to use that month meanwhile, the persister among them, so
//! it is for the caller to say up to which size.

use sqlx::AssertSqlSafe;

use super::{Erasure, ErasureError, PersonsRow};
use crate::partitions::Month;
use proto::Millis;

/// The tables of a month, and those without months that an erasure changes.
const TABLES: [&str; 4] = ["messages", "message_statuses", "duplicates", "message_attachments"];
const STATISTICS: &str = "pg_catalog.pg_statistic";

/// What became of the files of the tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tidied {
    /// Written anew: nothing of what was erased is in them.
    pub rewritten: Vec<String>,
    /// Too large to be written anew in passing: what was erased is in their free space until that is used again.
    pub vacuumed: Vec<String>,
}

impl Erasure {
    /// Writes the months of these rows anew where a table has at most `most_bytes`, and clears the others.
    pub async fn tidy(&self, rows: &[PersonsRow], most_bytes: u64) -> Result<Tidied, ErasureError> {
        let months = rows.iter().filter_map(|row| Millis::from_unix(row.received_at.timestamp_millis()));
        let mut months: Vec<Month> = months.map(Month::of).collect();
        months.sort_unstable();
        months.dedup();
        let mut tidied = Tidied::default();
        for month in months {
            for table in TABLES {
                let partition = month.partition_of(table);
                let Some(bytes) = self.size(&partition).await? else { continue };
                let small = bytes <= most_bytes;
                self.vacuum(&partition, small).await?;
                if small { &mut tidied.rewritten } else { &mut tidied.vacuumed }.push(partition);
            }
        }
        if !tidied.rewritten.is_empty() || !tidied.vacuumed.is_empty() {
            // Each vacuum has replaced its own samples, and left the old ones where they were.
            self.vacuum(STATISTICS, true).await?;
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

    async fn vacuum(&self, table: &str, rewrite: bool) -> Result<(), ErasureError> {
        let how = if rewrite { "FULL, ANALYZE" } else { "ANALYZE" };
        let statement = AssertSqlSafe(format!("VACUUM ({how}) {table}"));
        let failed = |source| ErasureError::Tidy { table: table.to_owned(), source };
        sqlx::raw_sql(statement).execute(&self.pool).await.map(|_| ()).map_err(failed)
    }
}
