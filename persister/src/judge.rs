//! One transaction: keys locked, records judged, rows written. Decides nothing itself; see `sql/judge.sql`.
//!
//! A batch with a replay in it excludes all others, since a replay can have another key than the record had before:
//! the lock of the key alone would let the two be judged at the same time.

use std::collections::HashSet;

use proto::Millis;
use proto::kind::Class;
use runtime::kill_point;
use sqlx::postgres::{PgArguments, PgPool, PgRow};
use sqlx::{Arguments as _, PgConnection, Row as _};
use uuid::Uuid;

use crate::columns::{self, EncodeError};
use crate::row::Row;
use crate::session::{ALONE, End, Failed, transact};

/// How a record ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is a row, written now.
    Stored,
    /// Its row was there and is now what this newer replay says.
    Updated,
    /// Its row was there and stays as it is.
    Redelivered,
    /// It repeats another record.
    Duplicate {
        /// The record that was stored.
        original_id: Uuid,
    },
    /// It is, or repeats, a record that was erased; nothing of it is stored.
    Erased {
        /// The record that was erased.
        original_id: Uuid,
    },
}

/// What came of a record in one transaction; `None`: to be judged again, now that another one has changed its key.
pub(crate) type Judged = Option<Outcome>;

/// Why a transaction did not take place. None of its records has changed anything.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JudgeError {
    #[error("could not get a connection to PostgreSQL")]
    Connect(#[source] sqlx::Error),
    #[error("could not make the month of a record")]
    Month(#[source] sqlx::Error),
    #[error("could not encode the records for PostgreSQL")]
    Encode(#[source] EncodeError),
    #[error("PostgreSQL did not take the records")]
    Statement(#[source] sqlx::Error),
    #[error("could not commit the records, or could not learn whether they were committed")]
    Commit(#[source] sqlx::Error),
    #[error("PostgreSQL answered the judgement in a way this version does not know")]
    Answer,
    #[error("the task that writes the records ended early")]
    Task,
}

/// A batch, encoded: owns all it needs.
pub(crate) struct Transaction {
    records: Vec<Record>,
    keys: PgArguments,
    judge: PgArguments,
    messages: PgArguments,
    statuses: PgArguments,
    /// Of a batch in which a record has files.
    files: Option<Files>,
    /// Of a batch with a replay in it.
    replay: Option<Replay>,
}

/// The arguments of `supersede.sql`, for each time that it runs.
struct Replay {
    before: PgArguments,
    after: PgArguments,
}

impl Replay {
    fn new(rows: &[&Row<'_>]) -> Result<Option<Self>, EncodeError> {
        let arguments = || columns::supersede(rows);
        Ok(arguments()?.zip(arguments()?).map(|(before, after)| Self { before, after }))
    }
}

/// The arguments of `attachments.sql`, and the places in the batch of the records in them.
struct Files {
    places: Vec<usize>,
    arguments: PgArguments,
}

impl Files {
    fn new(rows: &[&Row<'_>]) -> Result<Option<Self>, EncodeError> {
        let with_files = rows.iter().copied().enumerate().filter(|(_, row)| row.view.has_files());
        let (places, rows): (Vec<usize>, Vec<&Row<'_>>) = with_files.unzip();
        if rows.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self { places, arguments: columns::attachments(&rows)? }))
    }

    async fn write(mut self, connection: &mut PgConnection, verdicts: &[Verdict]) -> Result<(), JudgeError> {
        let of = |place: &usize| verdicts.get(*place).is_some_and(|verdict| verdict.writes);
        let writes: Vec<bool> = self.places.iter().map(of).collect();
        if writes.contains(&true) {
            self.arguments.add(writes).map_err(JudgeError::Encode)?;
            sqlx::query_with(include_str!("sql/attachments.sql"), self.arguments)
                .execute(connection)
                .await
                .map_err(JudgeError::Statement)?;
        }
        Ok(())
    }
}

/// What is needed of a record after encoding it.
struct Record {
    id: Uuid,
    received_at: Millis,
    class: Class,
}

impl Transaction {
    pub(crate) fn new(rows: &[&Row<'_>]) -> Result<Self, JudgeError> {
        let of = |class| rows.iter().copied().filter(|row| row.class() == class).collect::<Vec<_>>();
        let encode = || {
            Ok(Self {
                records: rows
                    .iter()
                    .map(|row| Record { id: row.id(), received_at: row.received_at(), class: row.class() })
                    .collect(),
                keys: columns::keys(rows)?,
                judge: columns::judge(rows)?,
                messages: columns::content(&of(Class::Message), Class::Message)?,
                statuses: columns::content(&of(Class::Status), Class::Status)?,
                files: Files::new(rows)?,
                replay: Replay::new(rows)?,
            })
        };
        encode().map_err(JudgeError::Encode)
    }

    /// Runs it. One entry per row, in order.
    pub(crate) async fn run(self, pool: PgPool) -> Result<Vec<Judged>, JudgeError> {
        Ok(transact(pool, End::Commit, |connection| Box::pin(self.on(connection))).await?)
    }

    /// Runs it as [`Self::run`] and takes it back: whether the database would have taken these rows.
    pub(crate) async fn try_out(self, pool: PgPool) -> Result<(), JudgeError> {
        transact(pool, End::Rollback, |connection| Box::pin(self.on(connection))).await?;
        Ok(())
    }

    async fn on(self, connection: &mut PgConnection) -> Result<Vec<Judged>, JudgeError> {
        let Self { records, keys, judge, messages, statuses, files, replay } = self;
        let after = if let Some(Replay { before, after }) = replay {
            sqlx::query(ALONE).execute(&mut *connection).await.map_err(JudgeError::Statement)?;
            supersede(connection, before).await?;
            Some(after)
        } else {
            None
        };
        kill_point::reached("persister.begun");
        sqlx::query_with(include_str!("sql/keys.sql"), keys)
            .execute(&mut *connection)
            .await
            .map_err(JudgeError::Statement)?;
        kill_point::reached("persister.locked");
        let verdicts = sqlx::query_with(include_str!("sql/judge.sql"), judge)
            .try_map(|row| Verdict::read(&row))
            .fetch_all(&mut *connection)
            .await
            .map_err(JudgeError::Statement)?;
        if verdicts.len() != records.len() {
            return Err(JudgeError::Answer);
        }
        kill_point::reached("persister.judged");
        clear_other_endings(connection, &records, &verdicts).await?;
        let mut written = HashSet::with_capacity(records.len());
        for (class, arguments) in [(Class::Message, messages), (Class::Status, statuses)] {
            written.extend(write(connection, class, arguments, &records, &verdicts).await?);
        }
        if let Some(files) = files {
            files.write(connection, &verdicts).await?;
        }
        if let Some(arguments) = after {
            supersede(connection, arguments).await?;
        }
        records.iter().zip(&verdicts).map(|(record, verdict)| verdict.outcome(written.contains(&record.id))).collect()
    }
}

impl From<Failed<Self>> for JudgeError {
    fn from(failed: Failed<Self>) -> Self {
        match failed {
            Failed::Connect(error) => Self::Connect(error),
            Failed::Work(error) => error,
            Failed::End(error) => Self::Commit(error),
            Failed::Task => Self::Task,
        }
    }
}

async fn supersede(connection: &mut PgConnection, arguments: PgArguments) -> Result<(), JudgeError> {
    sqlx::query_with(include_str!("sql/supersede.sql"), arguments)
        .execute(connection)
        .await
        .map_err(JudgeError::Statement)?;
    Ok(())
}

/// One row of the answer of `judge.sql`.
struct Verdict {
    word: String,
    original_id: Uuid,
    ended_in: Option<String>,
    writes: bool,
}

impl Verdict {
    fn read(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            word: row.try_get("verdict")?,
            original_id: row.try_get("original")?,
            ended_in: row.try_get("ended_in")?,
            writes: row.try_get("writes")?,
        })
    }

    fn outcome(&self, written: bool) -> Result<Judged, JudgeError> {
        let original_id = self.original_id;
        let had_row = matches!(self.ended_in.as_deref(), Some("messages" | "message_statuses"));
        Ok(Some(match self.word.as_str() {
            "again" => return Ok(None),
            "row" if written && had_row => Outcome::Updated,
            "row" if written => Outcome::Stored,
            "row" => Outcome::Redelivered,
            "repeat" => Outcome::Duplicate { original_id },
            "erased" => Outcome::Erased { original_id },
            _ => return Err(JudgeError::Answer),
        }))
    }
}

/// Takes away the ending that a record had elsewhere: its row in the other table, where its kind belongs to this one
/// now, or its entry in `duplicates`; its row where it was superseded and comes back as a repeat. And what a row that is
/// there no more, or is about to be corrected, said of its files. Rare, so one statement each.
async fn clear_other_endings(
    connection: &mut PgConnection,
    records: &[Record],
    verdicts: &[Verdict],
) -> Result<(), JudgeError> {
    const MESSAGES: &str = "DELETE FROM messages WHERE received_at = $1 AND id = $2";
    const STATUSES: &str = "DELETE FROM message_statuses WHERE received_at = $1 AND id = $2";
    const DUPLICATES: &str = "DELETE FROM duplicates WHERE received_at = $1 AND id = $2";
    const FILES: &str = "DELETE FROM message_attachments WHERE received_at = $1 AND id = $2";
    for (record, verdict) in records.iter().zip(verdicts) {
        let becomes = if verdict.writes {
            Some(record.class)
        } else if matches!(verdict.word.as_str(), "repeat" | "erased") {
            None
        } else {
            continue;
        };
        let gone: &[&str] = match (becomes, verdict.ended_in.as_deref()) {
            (Some(Class::Status) | None, Some("messages")) => &[MESSAGES, FILES],
            (Some(Class::Message) | None, Some("message_statuses")) => &[STATUSES, FILES],
            (Some(_), Some("messages" | "message_statuses")) => &[FILES],
            (Some(_), Some("duplicates")) => &[DUPLICATES],
            _ => continue,
        };
        for statement in gone {
            sqlx::query(*statement)
                .bind(record.received_at.to_datetime())
                .bind(record.id)
                .execute(&mut *connection)
                .await
                .map_err(JudgeError::Statement)?;
        }
    }
    Ok(())
}

/// Writes the rows of one table; the ids that were written.
async fn write(
    connection: &mut PgConnection,
    class: Class,
    mut arguments: PgArguments,
    records: &[Record],
    verdicts: &[Verdict],
) -> Result<Vec<Uuid>, JudgeError> {
    let of_class = records.iter().zip(verdicts).filter(|(record, _)| record.class == class);
    let writes: Vec<bool> = of_class.map(|(_, verdict)| verdict.writes).collect();
    if !writes.contains(&true) {
        return Ok(Vec::new());
    }
    arguments.add(writes).map_err(JudgeError::Encode)?;
    let statement = match class {
        Class::Message => include_str!("sql/messages.sql"),
        Class::Status => include_str!("sql/statuses.sql"),
    };
    sqlx::query_with(statement, arguments)
        .try_map(|row: PgRow| row.try_get(0))
        .fetch_all(connection)
        .await
        .map_err(JudgeError::Statement)
}
