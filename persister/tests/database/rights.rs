//! Who may do what in the database: the owner of the tables everything, the persister's user its own work, an application's
//! user reading.

use std::time::Duration;

use persister::metrics::Metrics;
use persister::retention::kept::Kept;
use persister::retention::rows::Sweeper;
use persister::{Expired, Outcome, Store};
use proto::Millis;
use runtime::config::{Config, Environment, Need, Requirements};
use runtime::stream_info::Reach;
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgPool;

use crate::postgres::Database;
use crate::records::{START, outcomes, record};

/// Roles belong to the server that all tests share.
const ROLES: &str = "DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'penstock_writer') THEN
        CREATE ROLE penstock_writer NOLOGIN;
        CREATE ROLE penstock_reader NOLOGIN;
        CREATE ROLE a_persister LOGIN PASSWORD 'p' IN ROLE penstock_writer;
        CREATE ROLE an_application LOGIN PASSWORD 'p' IN ROLE penstock_reader;
    END IF;
END $$";

/// A database with its tables, and the URLs of a persister and an application.
async fn with_users() -> (Database, String, String) {
    let db = Database::without_tables().await;
    db.run(ROLES).await;
    db.store.migrate().await.unwrap();
    let (scheme, rest) = db.url.split_once("://").unwrap();
    let server = rest.rsplit_once('@').map_or(rest, |(_, server)| server);
    let url = |user: &str| format!("{scheme}://{user}:p@{server}");
    let (persister, application) = (url("a_persister"), url("an_application"));
    (db, persister, application)
}

/// What PostgreSQL says to a statement: its SQLSTATE, or nothing where it does it.
async fn refusal(pool: &PgPool, statement: &str) -> Option<String> {
    let outcome = sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(pool).await;
    outcome.err().and_then(|error| error.as_database_error()?.code().map(std::borrow::Cow::into_owned))
}

#[tokio::test]
async fn the_persisters_user_can_do_all_of_its_work_and_cannot_touch_a_table() {
    let (db, persister, _) = with_users().await;
    let store = Store::connect(&persister, 2).await.unwrap();
    store.check_schema().await.unwrap();
    // A month that is not there, a repeat, a key that has run out, months that are over.
    let records = [record(1, 0, "k"), record(2, 1, "k")];
    let ended = outcomes(&store, &records).await;
    assert!(matches!(ended[..], [Outcome::Stored, Outcome::Duplicate { .. }]), "{ended:?}");
    let now = Millis::from_unix(START).unwrap();
    store.make_months(now).await.unwrap();
    let all = Expired { before: Millis::from_unix(START + 400 * 86_400_000).unwrap(), erased_before: now };
    assert!(store.delete_expired_keys(all, 1000, Duration::ZERO).await.unwrap().deleted > 0);
    // A row that is kept shorter than others, and its reference to a file.
    let text = "[[sources]]\nname = 'support'\nchannel = 'sms'\nprovider = 'twilio'\nretention = '7d'";
    let config = Config::parse_for(text, "", &Environment::default(), Requirements::every(Need::Optional)).unwrap();
    for table in ["messages", "duplicates"] {
        db.run(&format!("UPDATE {table} SET stored_at = now() - interval '2 days'")).await;
    }
    let reach = Reach { now: START + 8 * 86_400_000, oldest: START };
    let (mut sweeper, kept) = (Sweeper::default(), Kept::of(&config));
    sweeper.sweep(&store, &kept, reach, None, Duration::from_mins(1), &Metrics::new(&config)).await.unwrap();
    assert_eq!(db.number("SELECT count(*) FROM duplicates").await, 0);
    assert!(store.unreferenced("2026-11", &[blake3::hash(b"x")]).await.is_ok());
    let later = Millis::from_unix(START + 800 * 86_400_000).unwrap();
    let mut dropped = Vec::new();
    store.drop_months(later, 100, &mut dropped).await.unwrap();
    assert!(!dropped.is_empty());
    assert_eq!(db.number("SELECT count(*) FROM messages").await, 0, "its month is gone");
    outcomes(&store, &[record(3, 0, "l")]).await;

    let pool = PgPool::connect(&persister).await.unwrap();
    for statement in [
        "DROP TABLE messages",
        "TRUNCATE messages",
        "ALTER TABLE messages ADD COLUMN x int",
        "ALTER TABLE messages DISABLE TRIGGER ALL",
        "CREATE TABLE mine (x int)",
        "CREATE FUNCTION mine() RETURNS void LANGUAGE sql AS ''",
        "DROP FUNCTION penstock_make_month(date)",
        "DELETE FROM _sqlx_migrations",
        "SELECT * FROM pg_authid",
        "SELECT pg_read_file('/etc/passwd')",
        "COPY messages TO PROGRAM 'cat'",
        "CREATE ROLE another",
    ] {
        assert_eq!(refusal(&pool, statement).await.as_deref(), Some("42501"), "{statement}");
    }
    for statement in [
        "SELECT penstock_drop_month('message_keys', '2026-11-01')",
        "SELECT penstock_drop_month('messages; DROP TABLE message_keys', '2026-11-01')",
    ] {
        assert_eq!(refusal(&pool, statement).await.as_deref(), Some("22023"), "{statement}");
    }
    // A table of the caller's own does not take the place of the real one in what runs with the owner's rights.
    let shadow = "BEGIN; CREATE TEMPORARY TABLE messages (x int); SELECT penstock_make_month('2031-05-01'); COMMIT";
    assert_eq!(refusal(&pool, shadow).await, None);
    assert_eq!(db.number("SELECT count(*) FROM pg_inherits WHERE inhrelid = 'messages_2031_05'::regclass").await, 1);
    store.close().await;
    pool.close().await;
}

#[tokio::test]
async fn an_applications_user_reads_messages_and_nothing_else() {
    let (db, _, application) = with_users().await;
    outcomes(&db.store, &[record(1, 0, "k"), record(2, 1, "k")]).await;
    let pool = PgPool::connect(&application).await.unwrap();
    for table in ["messages", "message_statuses", "duplicates", "dead_letters", "message_attachments"] {
        assert_eq!(refusal(&pool, &format!("SELECT * FROM {table}")).await, None, "{table}");
        assert_eq!(refusal(&pool, &format!("DELETE FROM {table}")).await.as_deref(), Some("42501"), "{table}");
    }
    for statement in [
        "SELECT * FROM message_keys",
        "SELECT * FROM past_keys",
        "UPDATE messages SET text = ''",
        "INSERT INTO dead_letters SELECT * FROM dead_letters",
        "SELECT penstock_make_month('2031-05-01')",
        "SELECT penstock_drop_month('messages', '2026-11-01')",
        "CREATE TABLE mine (x int)",
    ] {
        assert_eq!(refusal(&pool, statement).await.as_deref(), Some("42501"), "{statement}");
    }
    assert_eq!(db.number("SELECT count(*) FROM messages").await, 1);
    pool.close().await;
}
