//! What became of a message: for `penstock explain`.

use chrono::{DateTime, Utc};
use proto::kind::Class;
use sqlx::postgres::{PgPool, PgRow};
use sqlx::{AssertSqlSafe, Row as _};
use uuid::Uuid;

/// What is looked for.
#[derive(Clone, Copy, Debug)]
pub enum Query<'a> {
    /// A record's id.
    Id(Uuid),
    /// A request's id (`Penstock-Id`): all its records.
    Request(Uuid),
    /// The provider's id of a message. Entries of `dead_letters` do not have it.
    ProviderMessage(&'a str),
}

/// A record and where it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The record.
    pub id: Uuid,
    /// The request it came in.
    pub request_id: Uuid,
    /// Its place in the request.
    pub part: i32,
    /// When the gateway had the request.
    pub received_at: DateTime<Utc>,
    /// Where it came in.
    pub channel: String,
    /// The source it came in at.
    pub source: String,
    /// When this was written.
    pub stored_at: DateTime<Utc>,
    /// Where it ended.
    pub ending: Ending,
}

/// Where a record ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// A row of `messages` or `message_statuses`.
    Row {
        /// Which of the two.
        table: Class,
        /// Its kind.
        kind: String,
        /// When a replay last corrected it.
        updated_at: Option<DateTime<Utc>>,
        /// Since when a newer reading of its request no longer yields it.
        superseded_at: Option<DateTime<Utc>>,
    },
    /// A row of `duplicates`.
    Duplicate {
        /// The record that was stored.
        original_id: Uuid,
        /// `repeat` or `erased`.
        verdict: String,
        /// How its key was made.
        policy: String,
    },
    /// A row of `dead_letters`.
    DeadLetter {
        /// Who gave up.
        stage: String,
        /// Why, as a word.
        reason: String,
        /// Why, as a sentence.
        detail: String,
        /// When it was closed.
        closed_at: Option<DateTime<Utc>>,
        /// By what: `row`, `duplicate`, or the word of whoever did it by hand.
        closed_by: Option<String>,
    },
}

/// The most that one look-up returns.
const MOST: i64 = 1000;

/// The endings of what is looked for, oldest first.
pub(crate) async fn lookup(pool: &PgPool, query: Query<'_>) -> Result<Vec<Found>, sqlx::Error> {
    const BY_PROVIDER: &str = "left(provider_message_id, 512) = left($1, 512) AND provider_message_id = $1";
    let rows = match query {
        // A record's id tells when it came in, and with that its partition and its place in the primary key.
        Query::Id(id) => {
            let by = "received_at = $2 AND id = $1";
            let statement = sql(by, "id = $1 AND $2::timestamptz IS NOT NULL");
            sqlx::query(AssertSqlSafe(statement)).bind(id).bind(time_of(id)).fetch_all(pool).await?
        }
        Query::Request(id) => {
            let statement = sql("request_id = $1", "request_id = $1");
            sqlx::query(AssertSqlSafe(statement)).bind(id).fetch_all(pool).await?
        }
        Query::ProviderMessage(id) => {
            sqlx::query(AssertSqlSafe(sql(BY_PROVIDER, "$1::text IS NULL"))).bind(id).fetch_all(pool).await?
        }
    };
    rows.iter().map(read).collect()
}

/// The one statement over the four tables, with a condition for the partitioned ones and one for `dead_letters`.
fn sql(condition: &str, dead_letters: &str) -> String {
    const SHARED: &str = "id, request_id, part, received_at, channel, source, stored_at";
    const ROW: &str = "kind, updated_at AS first_time, superseded_at AS second_time, NULL::uuid AS original_id, \
                       NULL AS word, NULL AS sentence";
    format!(
        "SELECT 'messages' AS place, {SHARED}, {ROW} FROM messages WHERE {condition}
         UNION ALL SELECT 'message_statuses', {SHARED}, {ROW} FROM message_statuses WHERE {condition}
         UNION ALL SELECT 'duplicates', {SHARED}, verdict, NULL, NULL, original_id, policy, NULL
            FROM duplicates WHERE {condition}
         UNION ALL SELECT 'dead_letters', {SHARED}, reason, closed_at, NULL, NULL, closed_by, stage || ' ' || detail
            FROM dead_letters WHERE {dead_letters}
         ORDER BY received_at, part, place LIMIT {MOST}"
    )
}

fn read(row: &PgRow) -> Result<Found, sqlx::Error> {
    let kind: String = row.try_get("kind")?;
    let place: String = row.try_get("place")?;
    let ending = match place.as_str() {
        "duplicates" => Ending::Duplicate {
            original_id: row.try_get("original_id")?,
            verdict: kind,
            policy: row.try_get::<Option<String>, _>("word")?.unwrap_or_default(),
        },
        "dead_letters" => {
            let sentence: String = row.try_get("sentence")?;
            let (stage, detail) = sentence.split_once(' ').unwrap_or((&sentence, ""));
            Ending::DeadLetter {
                stage: stage.to_owned(),
                reason: kind,
                detail: detail.to_owned(),
                closed_at: row.try_get("first_time")?,
                closed_by: row.try_get("word")?,
            }
        }
        table => Ending::Row {
            table: if table == "messages" { Class::Message } else { Class::Status },
            kind,
            updated_at: row.try_get("first_time")?,
            superseded_at: row.try_get("second_time")?,
        },
    };
    Ok(Found {
        id: row.try_get("id")?,
        request_id: row.try_get("request_id")?,
        part: row.try_get("part")?,
        received_at: row.try_get("received_at")?,
        channel: row.try_get("channel")?,
        source: row.try_get("source")?,
        stored_at: row.try_get("stored_at")?,
        ending,
    })
}

/// The moment in a `UUIDv7`; for any other id one that no record has.
fn time_of(id: Uuid) -> DateTime<Utc> {
    let time = id.get_timestamp().map(|stamp| {
        let (seconds, nanos) = stamp.to_unix();
        DateTime::from_timestamp(seconds.try_into().unwrap_or(0), nanos)
    });
    time.flatten().unwrap_or(DateTime::UNIX_EPOCH)
}
