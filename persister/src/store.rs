//! The database, as the rest of the stage sees it: records in, endings out.
//!
//! [`Store::write`] never says that a record ended before its transaction is committed, and a record of which it says
//! nothing final may be given to it again: everything here is idempotent, because a record's id is the same on every
//! redelivery and the transaction finds what was written under it.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use proto::{DeadLetterEnvelope, Millis};
use sqlx::Executor as _;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use uuid::Uuid;

use crate::audit::{self, endings::Endings};
use crate::batch;
use crate::canary::{Before, Canary, Shape, Taken};
use crate::columns::EncodeError;
use crate::expiry::{self, Cursor, Expired, Swept};
use crate::fault::{self, Verdict};
use crate::judge::{JudgeError, Judged, Outcome, Transaction};
use crate::lookup::{self, Found, Query};
use crate::partitions::{self, DroppedMonth, Month, Needed, Partitions};
use crate::row::Row;
use crate::schema::{self, SchemaError};
use crate::session;

/// How long to wait for a free connection.
const ACQUIRE: Duration = Duration::from_secs(5);
/// How often a record has to fail alone before it is given up on, if the database takes others.
const ATTEMPTS: usize = 3;

/// What every connection is set to.
///
/// The time limits are the server's, so a statement ends whatever becomes of its caller. The planner is told to look
/// things up by index, and to plan once: a plan made while the tables are empty would otherwise read them whole, and
/// would still do so when they are not. Commits are on disk before they are told, even where the server's default is
/// not to: the message is acknowledged on the strength of it. Long texts are compressed with lz4 where the server was
/// built with it: pglz, the default, takes a tenth of the server's time.
const SETTINGS: &str = "
    SET statement_timeout = '30s'; SET lock_timeout = '10s'; SET idle_in_transaction_session_timeout = '60s';
    SET plan_cache_mode = force_generic_plan; SET jit = off;
    SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_material = off;
    SELECT set_config('default_toast_compression', 'lz4', false) FROM pg_settings
        WHERE name = 'default_toast_compression' AND 'lz4' = ANY (enumvals);
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') IN ('off', 'local')";

/// Why something could not be done. None of them is a record's fault.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The URL cannot be read. (The cause may quote it, password included, so it is not kept.)
    #[error("postgres.url is no PostgreSQL URL: it looks like postgres://user:password@host:5432/database")]
    Url,
    /// No connection.
    #[error("could not get a connection to PostgreSQL: is it running, and does postgres.url lead to it?")]
    Connect(#[source] sqlx::Error),
    /// The migrations failed.
    #[error("could not bring the tables up to date")]
    Migrate(#[source] sqlx::migrate::MigrateError),
    /// Rows could not be encoded.
    #[error("could not encode the rows for PostgreSQL")]
    Encode(#[source] EncodeError),
    /// The database does not take records now.
    #[error("PostgreSQL does not take records now")]
    Write(#[source] sqlx::Error),
    /// The commit was not confirmed; the records may be stored, and are judged again.
    #[error("could not learn whether the records were committed")]
    Commit(#[source] sqlx::Error),
    /// A month could not be made.
    #[error("could not make the month that a record belongs to: may the user create tables?")]
    Month(#[source] sqlx::Error),
    /// A record was refused, and so was everything else that could be tried.
    #[error("PostgreSQL refuses every record, not only some: look for triggers and constraints added to the tables")]
    RefusesAll(#[source] sqlx::Error),
    /// The answer was not understood.
    #[error("PostgreSQL answered in a way this version does not know: are the tables newer than the persister?")]
    Answer,
    /// Entries of `dead_letters` could not be written.
    #[error("could not record dead letters")]
    DeadLetters(#[source] sqlx::Error),
    /// A look-up failed.
    #[error("could not look up what became of a message")]
    Lookup(#[source] sqlx::Error),
    /// The time is not known.
    #[error("could not ask PostgreSQL for the time")]
    Time(#[source] sqlx::Error),
    /// Clearing away failed.
    #[error("could not clear away what is old")]
    Expire(#[source] sqlx::Error),
    /// The process is ending.
    #[error("the task that talks to PostgreSQL ended early")]
    Task,
}

/// What became of a record in [`Store::write`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Committed.
    Ended(Outcome),
    /// The database refuses this one, and takes others. Nothing is stored; it belongs in the DLQ.
    Dead(Refusal),
    /// Not now: [`WriteReport::wait`] says why. Nothing is known to be stored; give it again.
    Waits,
}

/// Why the database refuses a record. Without content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The error's SQLSTATE, where the database reported it.
    pub sqlstate: Option<String>,
}

impl Refusal {
    /// The word for `dead_letters.reason` and for labels.
    pub fn reason(&self) -> &'static str {
        "refused"
    }

    /// The sentence for `dead_letters.detail`.
    pub fn detail(&self) -> String {
        match &self.sqlstate {
            Some(state) => {
                format!("PostgreSQL refused the record {ATTEMPTS} times with SQLSTATE {state}, and took others")
            }
            None => "the record could not be encoded for PostgreSQL".to_owned(),
        }
    }
}

/// What became of a batch.
#[derive(Debug)]
pub struct WriteReport {
    /// One entry per record, in order.
    pub rows: Vec<Settled>,
    /// Why some of them wait.
    pub wait: Option<StoreError>,
}

/// The database.
#[derive(Debug)]
pub struct Store {
    pool: PgPool,
    options: PgConnectOptions,
    partitions: Partitions,
    cursor: Cursor,
    taken: Taken,
}

impl Store {
    /// Reads the URL. Connections are made when they are needed, at most `max_connections`: a database that is away
    /// is not an error yet, see [`Self::check_schema`].
    #[expect(clippy::unused_async, reason = "the pool starts a task of its own, so it has to be made on a runtime")]
    pub async fn connect(url: &str, max_connections: u32) -> Result<Self, StoreError> {
        let options: PgConnectOptions = url.parse().map_err(|_| StoreError::Url)?;
        let options = options.application_name("penstock-persister");
        let pool = PgPoolOptions::new()
            .max_connections(max_connections.max(1))
            .acquire_timeout(ACQUIRE)
            // See `session`: a transaction finds out by itself whether its connection is any good.
            .test_before_acquire(false)
            .after_connect(|connection, _| Box::pin(async move { connection.execute(SETTINGS).await.map(|_| ()) }))
            .connect_lazy_with(options.clone());
        Ok(Self {
            pool,
            options,
            partitions: Partitions::default(),
            cursor: Cursor::default(),
            taken: Taken::default(),
        })
    }

    /// Brings the tables up to date; nothing to do is fine, and so is doing it from two places at once.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        schema::migrate(&self.options).await
    }

    /// Says whether this server and its tables are what this version works with.
    pub async fn check_schema(&self) -> Result<(), SchemaError> {
        schema::check(&self.pool).await
    }

    /// Whether a transaction can begin and end now.
    pub async fn ping(&self) -> Result<(), StoreError> {
        session::ping(self.pool.clone()).await.map_err(StoreError::Connect)
    }

    /// Judges and writes records, in any order and number. May be called from several tasks at once.
    pub async fn write(&self, rows: &[Row<'_>]) -> WriteReport {
        let ids: Vec<Uuid> = rows.iter().map(Row::id).collect();
        let before = self.taken.now();
        let mut settled = vec![Settled::Waits; rows.len()];
        let mut left: Vec<usize> = (0..rows.len()).collect();
        // Each round settles at least one record of every id, so there are no more rounds than records.
        while !left.is_empty() {
            let (round, mut rest) = batch::next_round(&ids, &left);
            match self.round(rows, round, before, &mut settled).await {
                Ok(again) => rest.extend(again),
                Err(wait) => return WriteReport { rows: settled, wait: Some(wait) },
            }
            rest.sort_unstable();
            left = rest;
        }
        WriteReport { rows: settled, wait: None }
    }

    /// Settles the records at `round`; returns the places of those that are to be judged again.
    ///
    /// What fails alone is looked at last: by then the others have shown whether the database takes records.
    async fn round(
        &self,
        rows: &[Row<'_>],
        round: Vec<usize>,
        before: Before,
        settled: &mut [Settled],
    ) -> Result<Vec<usize>, StoreError> {
        let mut again = Vec::new();
        let mut suspects = Vec::new();
        let mut groups = vec![round];
        while let Some(group) = groups.pop() {
            let taken: Vec<&Row<'_>> = group.iter().filter_map(|place| rows.get(*place)).collect();
            match self.judge(&taken).await {
                Ok(judged) => note(&group, judged, settled, &mut again),
                Err(error) => {
                    let error = only_refusals(error)?;
                    if let Some((first, second)) = batch::halves(&group) {
                        groups.push(second.to_vec());
                        groups.push(first.to_vec());
                    } else if let ([place], [row]) = (&group[..], &taken[..]) {
                        suspects.push((*place, *row, error));
                    }
                }
            }
        }
        for (place, row, error) in suspects {
            match self.alone(row, error, before).await? {
                Ok(judged) => note(&[place], vec![judged], settled, &mut again),
                Err(refusal) => note_refusal(place, refusal, settled),
            }
        }
        Ok(again)
    }

    /// One transaction, with the months it needs.
    async fn judge(&self, rows: &[&Row<'_>]) -> Result<Vec<Judged>, JudgeError> {
        let months: HashSet<Month> = rows.iter().map(|row| Month::of(row.received_at())).collect();
        self.partitions.ensure(&self.pool, months.clone()).await.map_err(JudgeError::Month)?;
        let judged = match Transaction::new(rows)?.run(self.pool.clone()).await {
            Err(JudgeError::Statement(error)) if fault::verdict(&error) == Verdict::MakePartition => {
                self.partitions.forget();
                self.partitions.ensure(&self.pool, months).await.map_err(JudgeError::Month)?;
                Transaction::new(rows)?.run(self.pool.clone()).await
            }
            result => result,
        }?;
        for (row, judged) in rows.iter().zip(&judged) {
            if matches!(judged, Some(Outcome::Stored | Outcome::Updated)) {
                self.taken.note(row.class());
            }
        }
        Ok(judged)
    }

    /// A record that failed alone once: tried again, and given up on only if the database takes another.
    async fn alone(
        &self,
        row: &Row<'_>,
        mut error: JudgeError,
        before: Before,
    ) -> Result<Result<Judged, Refusal>, StoreError> {
        for _ in 1..ATTEMPTS {
            match self.judge(&[row]).await {
                Ok(judged) => return Ok(Ok(judged.into_iter().next().flatten())),
                Err(next) => error = only_refusals(next)?,
            }
        }
        if self.taken.any_since(before, row.class()) || self.takes_one_like(row).await? {
            return Ok(Err(error.into_refusal()));
        }
        match error {
            JudgeError::Statement(error) | JudgeError::Commit(error) => Err(StoreError::RefusesAll(error)),
            other => Ok(Err(other.into_refusal())),
        }
    }

    /// Whether the database would take a record of the same kind.
    async fn takes_one_like(&self, row: &Row<'_>) -> Result<bool, StoreError> {
        for shape in Shape::ALL {
            let canary = Canary::like(row, shape);
            let good = canary.row().map_err(|_| StoreError::Answer)?;
            match Transaction::new(&[&good])?.try_out(self.pool.clone()).await {
                Ok(()) => return Ok(true),
                Err(error) => drop(only_refusals(error)?),
            }
        }
        Ok(false)
    }

    /// What time it is by the database's clock, in milliseconds since 1970.
    pub async fn now(&self) -> Result<i64, StoreError> {
        let now: chrono::DateTime<chrono::Utc> =
            sqlx::query_scalar("SELECT now()").fetch_one(&self.pool).await.map_err(StoreError::Time)?;
        Ok(now.timestamp_millis())
    }

    /// Makes the month of `now` and the one after it, so that no batch has to.
    pub async fn make_months(&self, now: Millis) -> Result<(), StoreError> {
        let month = Month::of(now);
        self.partitions.ensure(&self.pool, HashSet::from([month, month.next()])).await.map_err(StoreError::Month)
    }

    /// Drops at most `most` partitions whose month was over at `cutoff`, oldest first, and adds them to `dropped`, also
    /// where others could not be.
    pub async fn drop_months(
        &self,
        cutoff: Millis,
        most: usize,
        dropped: &mut Vec<DroppedMonth>,
    ) -> Result<(), StoreError> {
        self.partitions.forget();
        partitions::drop_before(&self.pool, cutoff, most, dropped).await.map_err(StoreError::Expire)
    }

    /// The months whose files are needed, where those before `cutoff` are dropped.
    pub async fn needed_files(&self, cutoff: Millis) -> Result<Needed, StoreError> {
        Needed::read(&self.pool, cutoff).await.map_err(StoreError::Expire)
    }

    /// Those of these files of a month (`YYYY-MM`) that no row of the month refers to.
    pub async fn unreferenced(&self, month: &str, files: &[blake3::Hash]) -> Result<Vec<blake3::Hash>, StoreError> {
        partitions::unreferenced(&self.pool, month, files).await.map_err(StoreError::Expire)
    }

    /// The connections, for what is done to the tables beside records.
    pub(crate) fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Deletes expired keys, `blocks` blocks of a table at a time, until its end or until `budget` is used up; each
    /// call goes on where the last one ended.
    pub async fn delete_expired_keys(
        &self,
        expired: Expired,
        blocks: u32,
        budget: Duration,
    ) -> Result<Swept, StoreError> {
        expiry::sweep(&self.pool, &self.cursor, expired, blocks, budget).await.map_err(StoreError::Expire)
    }

    /// Records what a stage gave up on. Doing it again changes nothing.
    pub async fn record_dead_letters(&self, letters: &[DeadLetterEnvelope]) -> Result<(), StoreError> {
        crate::dead_letters::record(self.pool.clone(), letters).await
    }

    /// What became of a message, oldest first, at most 1,000 records.
    pub async fn lookup(&self, query: Query<'_>) -> Result<Vec<Found>, StoreError> {
        lookup::lookup(&self.pool, query).await.map_err(StoreError::Lookup)
    }

    /// What of these requests has ended, by their ids; every one of them is in the answer.
    pub async fn endings(
        &self,
        requests: impl Iterator<Item = (Uuid, Millis)>,
    ) -> Result<HashMap<Uuid, Endings>, StoreError> {
        audit::lookup::endings(&self.pool, requests).await.map_err(StoreError::Lookup)
    }

    /// Waits for what is under way and closes every connection.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// Keeps what may be a record's fault; everything else is a reason to wait.
fn only_refusals(error: JudgeError) -> Result<JudgeError, StoreError> {
    match error {
        JudgeError::Encode(_) => Ok(error),
        JudgeError::Statement(ref cause) | JudgeError::Commit(ref cause) if fault::verdict(cause) == Verdict::Split => {
            Ok(error)
        }
        other => Err(other.into()),
    }
}

fn note(group: &[usize], judged: Vec<Judged>, settled: &mut [Settled], again: &mut Vec<usize>) {
    for (place, judged) in group.iter().zip(judged) {
        match (judged, settled.get_mut(*place)) {
            (Some(outcome), Some(entry)) => *entry = Settled::Ended(outcome),
            _ => again.push(*place),
        }
    }
}

fn note_refusal(place: usize, refusal: Refusal, settled: &mut [Settled]) {
    if let Some(entry) = settled.get_mut(place) {
        *entry = Settled::Dead(refusal);
    }
}

impl JudgeError {
    fn into_refusal(self) -> Refusal {
        let sqlstate = match self {
            Self::Statement(error) | Self::Commit(error) => fault::sqlstate(&error),
            _ => None,
        };
        Refusal { sqlstate }
    }
}

impl From<JudgeError> for StoreError {
    fn from(error: JudgeError) -> Self {
        match error {
            JudgeError::Connect(error) => Self::Connect(error),
            JudgeError::Encode(error) => Self::Encode(error),
            JudgeError::Statement(error) => Self::Write(error),
            JudgeError::Commit(error) => Self::Commit(error),
            JudgeError::Month(error) => Self::Month(error),
            JudgeError::Answer => Self::Answer,
            JudgeError::Task => Self::Task,
        }
    }
}
