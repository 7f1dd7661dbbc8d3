//! What commands ask and change in PostgreSQL beyond the persister's look-up: how many records a request has, whether
//! dead letters are closed, and closing one by hand.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::postgres::{PgPool, PgPoolOptions};
use uuid::Uuid;

use super::error::CommandError;
use super::site::Site;

/// Longest wait for a connection.
const ACQUIRE: Duration = Duration::from_secs(5);

/// The word of an entry that somebody dropped.
const DROPPED: &str = "dropped";

/// A connection to the database.
#[derive(Clone, Debug)]
pub(crate) struct Database {
    pool: PgPool,
    named_by: String,
}

/// What the table says of a dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) closed_at: Option<DateTime<Utc>>,
    /// `row`, `duplicate`, `dropped`.
    pub(crate) closed_by: Option<String>,
}

impl Entry {
    /// In words: `open`, or by what it was closed.
    pub(crate) fn state(&self) -> String {
        match (&self.closed_at, &self.closed_by) {
            (None, _) => "open".to_owned(),
            (Some(_), Some(by)) => format!("closed ({by})"),
            (Some(_), None) => "closed".to_owned(),
        }
    }
}

impl Database {
    /// Connects, or says why not within seconds.
    pub(crate) async fn connect(site: &Site) -> Result<Self, CommandError> {
        let unreachable = |cause| {
            let next = format!("look whether it runs and whether its URL in {} is right", site.named_by);
            CommandError::unreachable("cannot connect to PostgreSQL", next).because(cause)
        };
        let options = PgPoolOptions::new().max_connections(1).acquire_timeout(ACQUIRE);
        let pool = options.connect(site.postgres_url()?).await.map_err(unreachable)?;
        Ok(Self { pool, named_by: site.named_by.clone() })
    }

    /// What the table says of these records; those it does not know are left out.
    pub(crate) async fn entries(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, Entry>, CommandError> {
        let rows: Vec<(Uuid, Option<DateTime<Utc>>, Option<String>)> =
            sqlx::query_as("SELECT id, closed_at, closed_by FROM dead_letters WHERE id = ANY($1)")
                .bind(ids)
                .fetch_all(&self.pool)
                .await
                .map_err(|error| self.refused(error))?;
        Ok(rows.into_iter().map(|(id, closed_at, closed_by)| (id, Entry { closed_at, closed_by })).collect())
    }

    /// How many records a request has, as its rows say; `None` where it has none.
    pub(crate) async fn parts(&self, request: Uuid) -> Result<Option<u32>, CommandError> {
        let parts: Option<i32> = sqlx::query_scalar(
            "SELECT max(parts) FROM (
                 SELECT parts FROM messages WHERE request_id = $1 AND superseded_at IS NULL
                 UNION ALL SELECT parts FROM message_statuses WHERE request_id = $1 AND superseded_at IS NULL
             ) AS rows",
        )
        .bind(request)
        .fetch_one(&self.pool)
        .await
        .map_err(|error| self.refused(error))?;
        Ok(parts.and_then(|parts| u32::try_from(parts).ok()))
    }

    /// Closes an entry by hand; true where there is one. One that is closed already stays as it is.
    pub(crate) async fn drop_entry(&self, id: Uuid) -> Result<bool, CommandError> {
        let done = sqlx::query(
            "UPDATE dead_letters SET closed_at = coalesce(closed_at, now()), closed_by = coalesce(closed_by, $2)
             WHERE id = $1",
        )
        .bind(id)
        .bind(DROPPED)
        .execute(&self.pool)
        .await
        .map_err(|error| self.refused(error))?;
        Ok(done.rows_affected() > 0)
    }

    fn refused(&self, error: sqlx::Error) -> CommandError {
        let next = format!(
            "look at the cause; where tables are missing run `penstock migrate`, with the database that {} names",
            self.named_by
        );
        CommandError::unreachable("PostgreSQL does not do what was asked", next).because(error)
    }
}
