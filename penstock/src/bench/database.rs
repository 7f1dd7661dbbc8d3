//! The one connection to PostgreSQL: which endings are visible, and at last all of them.
//!
//! What a reader would get wrong: `stored_at` is no use here, because it is when the transaction began; a row is visible
//! when another connection can see it. So it is looked for, often, through an index and never by a scan of the table.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::TryStreamExt as _;
use sqlx::{Connection as _, PgConnection, Row as _};
use tokio::time::timeout;
use uuid::Uuid;

use super::error::BenchError;
use super::ledger::{Ending, Place};
use super::message::Run;

const CONNECT: Duration = Duration::from_secs(5);

/// The planner knows nothing of a table that grew a second ago, and would scan it.
const SETTINGS: [&str; 4] = [
    "set enable_seqscan = off",
    "set enable_bitmapscan = off",
    "set jit = off",
    "set max_parallel_workers_per_gather = 0",
];

const ROWS: &str = "select request_id, true as is_row from messages where received_at >= $1";
const ROWS_AND_REPEATS: &str = "select request_id, true as is_row from messages where received_at >= $1 \
    union all select request_id, false from duplicates where received_at >= $1";
const BY_ID: &str = "select request_id, true as is_row from messages where request_id = any($1) \
    union all select request_id, true from message_statuses where request_id = any($1) \
    union all select request_id, false from duplicates where request_id = any($1) \
    union all select request_id, false from dead_letters where request_id = any($1) and closed_at is null";

/// What a row of each table says of its request. `$1`: from when on; `$2`: the source.
const ENDINGS: [(&str, Place); 4] = [
    (
        "select request_id, provider_message_id from messages \
         where received_at >= $1 and source = $2 and superseded_at is null",
        Place::Row,
    ),
    (
        "select request_id, provider_message_id from message_statuses \
         where received_at >= $1 and source = $2 and superseded_at is null",
        Place::Row,
    ),
    ("select request_id, provider_message_id from duplicates where received_at >= $1 and source = $2", Place::Repeat),
    (
        "select request_id, null::text from dead_letters \
         where received_at >= $1 and source = $2 and closed_at is null",
        Place::DeadLetter,
    ),
];

/// A request whose ending is visible, and whether that is a row.
pub(crate) type Visible = (Uuid, bool);

/// The connection.
#[derive(Debug)]
pub(crate) struct Database {
    connection: PgConnection,
    with_repeats: bool,
}

impl Database {
    /// `with_repeats`: whether a look takes the table of repeats as well.
    pub(crate) async fn connect(url: &str, with_repeats: bool) -> Result<Self, BenchError> {
        let connecting = timeout(CONNECT, PgConnection::connect(url)).await;
        let mut connection = connecting.map_err(|late| sqlx::Error::Io(late.into()))??;
        for setting in SETTINGS {
            sqlx::query(setting).execute(&mut connection).await?;
        }
        Ok(Self { connection, with_repeats })
    }

    /// The version, as the server tells it.
    pub(crate) async fn version(&mut self) -> Result<String, BenchError> {
        let text: String = sqlx::query_scalar("show server_version").fetch_one(&mut self.connection).await?;
        Ok(text.split(' ').next().unwrap_or_default().to_owned())
    }

    /// What is visible of the requests that arrived at `millis` or later.
    pub(crate) async fn look(&mut self, millis: u64) -> Result<Vec<Visible>, BenchError> {
        let query = if self.with_repeats { ROWS_AND_REPEATS } else { ROWS };
        Ok(sqlx::query_as(query).bind(time(millis)).fetch_all(&mut self.connection).await?)
    }

    /// Which of these requests have an ending, in any table.
    pub(crate) async fn find(&mut self, requests: &[Uuid]) -> Result<Vec<Visible>, BenchError> {
        Ok(sqlx::query_as(BY_ID).bind(requests).fetch_all(&mut self.connection).await?)
    }

    /// Every ending of a source since `millis`, with the message where it is one of `run`.
    pub(crate) async fn endings(&mut self, run: Run, source: &str, millis: u64) -> Result<Vec<Ending>, BenchError> {
        let mut endings = Vec::new();
        for (query, place) in ENDINGS {
            let mut rows = sqlx::query(query).bind(time(millis)).bind(source).fetch(&mut self.connection);
            while let Some(row) = rows.try_next().await? {
                let name: Option<&str> = row.try_get(1)?;
                let message = name.and_then(|name| run.message(name));
                endings.push(Ending { request: row.try_get(0)?, message, place });
            }
        }
        Ok(endings)
    }
}

fn time(millis: u64) -> DateTime<Utc> {
    i64::try_from(millis).ok().and_then(DateTime::from_timestamp_millis).unwrap_or(DateTime::UNIX_EPOCH)
}
