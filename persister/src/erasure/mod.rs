//! Takes everything of somebody out of the tables: for `penstock erase`, and the looking for `penstock export`.
//!
//! An erasure is one more ending. The row goes; its id gets an entry of `duplicates` with the verdict `erased`, and every
//! window of its key a mark, under the same locks that a record is judged under. So whatever brings the record or a copy
//! of it again, late, by a redelivery or by a replay, ends as erased too (`sql/judge.sql`).
//!
//! What a reader would get wrong: `DELETE` leaves the bytes where they were, and so does `VACUUM`. [`tidy`] writes the
//! months anew.

pub mod tidy;

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use proto::Millis;
use proto::kind::Class;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgRow};
use sqlx::{Executor as _, PgConnection, Row as _};
use uuid::Uuid;

use crate::partitions::{Month, Partitions};
use crate::session::{End, Failed, transact};

/// A search may take long; a lock that is not had soon stops those who wait behind this.
const SETTINGS: &str = "SET statement_timeout = 0; SET lock_timeout = '10s'; SET synchronous_commit = on";
/// Rows in one transaction: their keys are locked meanwhile.
const BATCH: usize = 200;
/// The half of the lock that stands beside other batches and not beside a replay; see `sql/keys.sql`.
const BESIDE: &str = "SELECT pg_advisory_xact_lock_shared(7236834, 1)";

/// Held by a run as long as its connection lasts.
const BY_ITSELF: &str = "SELECT pg_try_advisory_lock(7236834, 3)";

/// Why something could not be found or erased. What was erased before stays so, and the rest is found again.
#[derive(Debug, thiserror::Error)]
pub enum ErasureError {
    /// The URL cannot be read. (The cause may quote it.)
    #[error("postgres.url is no PostgreSQL URL: it looks like postgres://user:password@host:5432/database")]
    Url,
    /// No connection.
    #[error("could not get a connection to PostgreSQL")]
    Connect(#[source] sqlx::Error),
    /// Rows could not be looked for.
    #[error("could not look for rows: may this user read the tables?")]
    Find(#[source] sqlx::Error),
    /// Whether another erasure runs could not be asked.
    #[error("could not take the lock of an erasure")]
    Lock(#[source] sqlx::Error),
    /// Rows could not be erased.
    #[error("could not erase rows: erasing needs the user that owns the tables")]
    Erase(#[source] sqlx::Error),
    /// A table could not be written anew.
    #[error("could not write the table {table} anew")]
    Tidy {
        /// Which.
        table: String,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// The process is ending.
    #[error("the task that talks to PostgreSQL ended early")]
    Task,
}

/// A row that somebody is in.
#[derive(Clone, Debug)]
pub struct PersonsRow {
    /// Its table.
    pub table: Class,
    /// Its id.
    pub id: Uuid,
    /// When the gateway had its request.
    pub received_at: DateTime<Utc>,
    /// Its request.
    pub request_id: Uuid,
    /// The request's sequence in `RAW`; 0 where that is not known.
    pub raw_sequence: u64,
    /// Who wrote it.
    pub sender: Option<String>,
    /// Whether the one looked for did.
    pub wrote: bool,
}

/// A repeat of such a row. It has no content but the provider's id of the message.
#[derive(Clone, Copy, Debug)]
pub struct RepeatOf {
    /// Its id.
    pub id: Uuid,
    /// Its request.
    pub request_id: Uuid,
    /// The request's sequence in `RAW`.
    pub raw_sequence: u64,
}

/// A file of an erased row in the attachment store, as its name there says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FileName {
    /// `YYYY-MM`.
    pub month: String,
    /// Its BLAKE3, in hex.
    pub blake3: String,
}

/// How many rows were erased, by table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    /// Of `messages`.
    pub messages: u64,
    /// Of `message_statuses`.
    pub statuses: u64,
}

/// No other erasure runs, until this is dropped.
#[derive(Debug)]
pub struct ByItself {
    _connection: PgConnection,
}

/// The tables, for whoever owns them.
#[derive(Debug)]
pub struct Erasure {
    pool: PgPool,
    partitions: Partitions,
}

impl Erasure {
    /// Connects.
    pub async fn connect(url: &str) -> Result<Self, ErasureError> {
        let options: PgConnectOptions = url.parse().map_err(|_| ErasureError::Url)?;
        let pool = PgPoolOptions::new()
            .max_connections(2)
            .after_connect(|connection, _| Box::pin(async move { connection.execute(SETTINGS).await.map(|_| ()) }))
            .connect_with(options.application_name("penstock-erase"))
            .await
            .map_err(ErasureError::Connect)?;
        Ok(Self { pool, partitions: Partitions::default() })
    }

    /// That no other erasure runs meanwhile; `None` where one does. Two that run at once could each leave a file to the
    /// other's person, and nobody would delete it.
    pub async fn by_itself(&self) -> Result<Option<ByItself>, ErasureError> {
        let mut connection = self.pool.acquire().await.map_err(ErasureError::Connect)?.detach();
        let alone: bool = sqlx::query_scalar(BY_ITSELF).fetch_one(&mut connection).await.map_err(ErasureError::Lock)?;
        Ok(alone.then_some(ByItself { _connection: connection }))
    }

    /// The rows that somebody is in, by his addresses in lower case; oldest first.
    pub async fn find(&self, addresses: &[String]) -> Result<Vec<PersonsRow>, ErasureError> {
        let rows = sqlx::query(include_str!("../sql/erasure/find.sql")).bind(addresses);
        let rows = rows.try_map(|row| PersonsRow::read(&row)).fetch_all(&self.pool).await;
        rows.map_err(ErasureError::Find)
    }

    /// These rows as JSON, as they are.
    pub async fn content(&self, rows: &[PersonsRow]) -> Result<Vec<serde_json::Value>, ErasureError> {
        let mut content = Vec::with_capacity(rows.len());
        for class in [Class::Message, Class::Status] {
            let of: Vec<&PersonsRow> = rows.iter().filter(|row| row.table == class).collect();
            let statement = match class {
                Class::Message => CONTENT_OF_MESSAGES,
                Class::Status => CONTENT_OF_STATUSES,
            };
            for some in of.chunks(BATCH) {
                let (times, ids) = places(some.iter().copied());
                let found = sqlx::query_scalar(statement).bind(times).bind(ids).fetch_all(&self.pool).await;
                content.extend::<Vec<serde_json::Value>>(found.map_err(ErasureError::Find)?);
            }
        }
        Ok(content)
    }

    /// What repeats these rows, as JSON.
    pub async fn content_of_repeats(&self, rows: &[PersonsRow]) -> Result<Vec<serde_json::Value>, ErasureError> {
        let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
        sqlx::query_scalar(CONTENT_OF_REPEATS).bind(ids).fetch_all(&self.pool).await.map_err(ErasureError::Find)
    }

    /// What repeats these rows.
    pub async fn repeats(&self, rows: &[PersonsRow]) -> Result<Vec<RepeatOf>, ErasureError> {
        let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
        let found: Vec<(Uuid, Uuid, i64)> =
            sqlx::query_as(REPEATS).bind(ids).fetch_all(&self.pool).await.map_err(ErasureError::Find)?;
        let of = |(id, request_id, raw_sequence): (Uuid, Uuid, i64)| RepeatOf {
            id,
            request_id,
            raw_sequence: raw_sequence.unsigned_abs(),
        };
        Ok(found.into_iter().map(of).collect())
    }

    /// The files that these rows refer to, and no other row of the same month.
    pub async fn files(&self, rows: &[PersonsRow]) -> Result<Vec<FileName>, ErasureError> {
        self.file_names(rows, true).await
    }

    /// The files that these rows refer to.
    pub async fn all_files(&self, rows: &[PersonsRow]) -> Result<Vec<FileName>, ErasureError> {
        self.file_names(rows, false).await
    }

    async fn file_names(&self, rows: &[PersonsRow], of_them_alone: bool) -> Result<Vec<FileName>, ErasureError> {
        let (times, ids) = places(rows);
        let found: Vec<(String, String)> = sqlx::query_as(FILES)
            .bind(times)
            .bind(ids)
            .bind(of_them_alone)
            .fetch_all(&self.pool)
            .await
            .map_err(ErasureError::Find)?;
        Ok(found.into_iter().map(|(month, blake3)| FileName { month, blake3 }).collect())
    }

    /// The requests of rows that refer to one of these files, but for these rows.
    pub async fn referring(&self, files: &[FileName], but: &[PersonsRow]) -> Result<Vec<Uuid>, ErasureError> {
        let months: Vec<&str> = files.iter().map(|file| file.month.as_str()).collect();
        let hashes: Vec<&str> = files.iter().map(|file| file.blake3.as_str()).collect();
        let but: Vec<Uuid> = but.iter().map(|row| row.id).collect();
        sqlx::query_scalar(REFERRING)
            .bind(months)
            .bind(hashes)
            .bind(but)
            .fetch_all(&self.pool)
            .await
            .map_err(ErasureError::Find)
    }

    /// Erases rows. Returns how many were there to be erased.
    pub async fn erase(&self, rows: &[PersonsRow]) -> Result<Erased, ErasureError> {
        let all: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
        let windows: Vec<(Uuid, Vec<u8>)> =
            sqlx::query_as(WINDOWS).bind(all).fetch_all(&self.pool).await.map_err(ErasureError::Find)?;
        let months = rows.iter().filter_map(|row| Millis::from_unix(row.received_at.timestamp_millis())).map(Month::of);
        self.partitions.ensure(&self.pool, months.collect::<HashSet<_>>()).await.map_err(ErasureError::Erase)?;
        let mut erased = Erased::default();
        for some in rows.chunks(BATCH) {
            let (times, ids) = places(some);
            // Only their own: the persister waits for every key that is locked.
            let keys = windows.iter().filter(|(id, _)| ids.contains(id)).map(|(_, key)| key.clone()).collect();
            let (messages, statuses) = erase_some(self.pool.clone(), times, ids, keys).await?;
            erased.messages += messages.unsigned_abs();
            erased.statuses += statuses.unsigned_abs();
        }
        Ok(erased)
    }

    /// Takes the provider's ids out of what repeats an erased record: such an id can hold a telephone number. Of all that
    /// were ever erased, so that it does not matter who was interrupted.
    pub async fn blank_repeats(&self) -> Result<u64, ErasureError> {
        let done = sqlx::query(BLANK_REPEATS).execute(&self.pool).await.map_err(ErasureError::Erase)?;
        Ok(done.rows_affected())
    }

    /// Closes the entries of dead letters whose content is about to be erased. Returns how many were open.
    pub async fn close_letters(&self, ids: &[Uuid]) -> Result<u64, ErasureError> {
        let done = sqlx::query(
            "UPDATE dead_letters SET closed_at = now(), closed_by = 'erased' WHERE id = ANY ($1) AND closed_at IS NULL",
        );
        Ok(done.bind(ids).execute(&self.pool).await.map_err(ErasureError::Erase)?.rows_affected())
    }

    /// Waits for what is under way and closes every connection.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

const REPEATS: &str = "
    SELECT id, request_id, raw_sequence FROM duplicates WHERE original_id = ANY ($1) AND id <> original_id";
const CONTENT_OF_MESSAGES: &str = "
    SELECT jsonb_build_object('table', 'messages') || to_jsonb(m)
    FROM unnest($1::timestamptz[], $2::uuid[]) AS i (received_at, id)
    JOIN messages m ON m.received_at = i.received_at AND m.id = i.id
    ORDER BY m.received_at, m.id";
const CONTENT_OF_STATUSES: &str = "
    SELECT jsonb_build_object('table', 'message_statuses') || to_jsonb(m)
    FROM unnest($1::timestamptz[], $2::uuid[]) AS i (received_at, id)
    JOIN message_statuses m ON m.received_at = i.received_at AND m.id = i.id
    ORDER BY m.received_at, m.id";
const CONTENT_OF_REPEATS: &str = "
    SELECT jsonb_build_object('table', 'duplicates') || to_jsonb(d)
    FROM duplicates d
    WHERE original_id = ANY ($1) AND id <> original_id
    ORDER BY received_at, id";
const FILES: &str = "
    SELECT DISTINCT to_char(f.received_at AT TIME ZONE 'UTC', 'YYYY-MM'), f.blake3
    FROM unnest($1::timestamptz[], $2::uuid[]) AS i (received_at, id)
    JOIN message_attachments f ON f.received_at = i.received_at AND f.id = i.id
    WHERE NOT $3 OR NOT EXISTS (
        SELECT FROM message_attachments o
        WHERE o.blake3 = f.blake3 AND o.id <> ALL ($2)
            AND date_trunc('month', o.received_at AT TIME ZONE 'UTC') = date_trunc('month', f.received_at AT TIME ZONE 'UTC')
    )";
const REFERRING: &str = "
    SELECT DISTINCT r.request_id
    FROM unnest($1::text[], $2::text[]) AS n (month, blake3)
    JOIN message_attachments f
        ON f.blake3 = n.blake3 AND to_char(f.received_at AT TIME ZONE 'UTC', 'YYYY-MM') = n.month
        AND f.id <> ALL ($3)
    JOIN LATERAL (
        SELECT request_id FROM messages m WHERE m.received_at = f.received_at AND m.id = f.id
        UNION ALL
        SELECT request_id FROM message_statuses s WHERE s.received_at = f.received_at AND s.id = f.id
    ) r ON true";
const WINDOWS: &str = "
    SELECT id, dedup_key FROM message_keys WHERE id = ANY ($1)
    UNION SELECT id, dedup_key FROM past_keys WHERE id = ANY ($1)";
const BLANK_REPEATS: &str = "
    UPDATE duplicates d SET provider_message_id = NULL
    FROM duplicates e
    WHERE e.verdict = 'erased' AND e.id = e.original_id AND d.original_id = e.id AND d.provider_message_id IS NOT NULL";

async fn erase_some(
    pool: PgPool,
    times: Vec<DateTime<Utc>>,
    ids: Vec<Uuid>,
    keys: Vec<Vec<u8>>,
) -> Result<(i64, i64), ErasureError> {
    transact(pool, End::Commit, move |connection| {
        Box::pin(async move {
            sqlx::query(BESIDE).execute(&mut *connection).await?;
            let lock = sqlx::query(include_str!("../sql/erasure/lock.sql"));
            lock.bind(&times).bind(&ids).bind(&keys).execute(&mut *connection).await?;
            let erase = sqlx::query_as(include_str!("../sql/erasure/erase.sql"));
            erase.bind(&times).bind(&ids).bind(&keys).fetch_one(&mut *connection).await
        })
    })
    .await
    .map_err(ErasureError::from)
}

impl From<Failed<sqlx::Error>> for ErasureError {
    fn from(failed: Failed<sqlx::Error>) -> Self {
        match failed {
            Failed::Connect(error) => Self::Connect(error),
            Failed::Work(error) | Failed::End(error) => Self::Erase(error),
            Failed::Task => Self::Task,
        }
    }
}

fn places<'r>(rows: impl IntoIterator<Item = &'r PersonsRow>) -> (Vec<DateTime<Utc>>, Vec<Uuid>) {
    rows.into_iter().map(|row| (row.received_at, row.id)).unzip()
}

impl PersonsRow {
    fn read(row: &PgRow) -> Result<Self, sqlx::Error> {
        let place: String = row.try_get("place")?;
        Ok(Self {
            table: if place == "messages" { Class::Message } else { Class::Status },
            id: row.try_get("id")?,
            received_at: row.try_get("received_at")?,
            request_id: row.try_get("request_id")?,
            raw_sequence: row.try_get::<i64, _>("raw_sequence")?.unsigned_abs(),
            sender: row.try_get("sender_address")?,
            wrote: row.try_get("wrote")?,
        })
    }
}
