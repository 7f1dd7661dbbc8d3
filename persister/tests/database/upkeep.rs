//! What is done from time to time: keys cleared away, months dropped, the database asked whether it answers.

use std::sync::Arc;
use std::time::Duration;

use crate::postgres::{Database, eventually, url_of};
use crate::records::{MINUTE, START, outcome, outcomes, record};
use persister::Outcome::Redelivered;
use persister::housekeeping::look_after;
use persister::metrics::Metrics;
use persister::{Expired, Store, pulse};
use proto::Millis;
use runtime::config::{Config, Environment, Need, Requirements};
use runtime::health::Health;
use runtime::stream_info::Reach;
use tokio_util::sync::CancellationToken;

/// A time `ms` after the tests' moment.
fn at(ms: i64) -> Millis {
    Millis::from_unix(START + ms).unwrap()
}

/// Keys that expired at the tests' moment, over some hundred blocks.
async fn many_expired_keys(db: &Database) {
    db.run(&format!(
        "INSERT INTO message_keys SELECT decode(lpad(to_hex(n), 32, '0'), 'hex'), gen_random_uuid(), '{0}', '{0}'
         FROM generate_series(1, 4000) n",
        at(0)
    ))
    .await;
}

fn expired() -> Expired {
    Expired { before: at(1), erased_before: at(1) }
}

#[tokio::test]
async fn expired_keys_go_and_the_others_stay() {
    let db = Database::new().await;
    let (first, second, kept) = (record(1, 0, "k"), record(2, 30 * MINUTE, "k"), record(3, 60 * MINUTE, "l"));
    outcomes(&db.store, &[first.clone(), second, kept.clone(), record(4, 0, "e")]).await;
    db.erase(&record(4, 0, "e")).await;
    let at = |ms| Millis::from_unix(START + ms).unwrap();
    let before = at(60 * MINUTE);
    let swept =
        db.store.delete_expired_keys(Expired { before, erased_before: at(0) }, 1000, Duration::ZERO).await.unwrap();
    assert_eq!((swept.deleted, swept.at_end), (2, true));
    assert_eq!(db.number("SELECT count(*) FROM message_keys").await, 2);
    let later = Expired { before, erased_before: at(1_000 * 86_400_000) };
    assert_eq!(db.store.delete_expired_keys(later, 1000, Duration::ZERO).await.unwrap().deleted, 1);
    assert_eq!(outcome(&db.store, &kept).await, Redelivered);
    assert_eq!(outcome(&db.store, &first).await, Redelivered);
}

#[tokio::test]
async fn a_sweep_goes_on_to_the_end_while_it_has_time() {
    let db = Database::new().await;
    many_expired_keys(&db).await;
    let minute = Duration::from_mins(1);
    // The first begins anywhere, the second at the beginning.
    for _ in 0..2 {
        assert!(db.store.delete_expired_keys(expired(), 2, minute).await.unwrap().at_end);
    }
    assert_eq!(db.number("SELECT count(*) FROM message_keys").await, 0);
}

#[tokio::test]
async fn processes_that_never_live_to_the_end_of_a_sweep_reach_every_key() {
    let db = Database::new().await;
    many_expired_keys(&db).await;
    let left = "SELECT count(*) FROM message_keys";
    for _ in 0..2000 {
        let process = Store::connect(&db.url, 1).await.unwrap();
        process.delete_expired_keys(expired(), 4, Duration::ZERO).await.unwrap();
        process.close().await;
        if db.number(left).await == 0 {
            return;
        }
    }
    panic!("{} keys are left", db.number(left).await);
}

#[tokio::test]
async fn rows_that_are_kept_for_ever_are_not_dropped() {
    let db = Database::new().await;
    outcome(&db.store, &record(1, 0, "k")).await;
    let later = START + 30_000 * 24 * 60 * MINUTE;
    for (time, rows) in [("forever", 1), ("36500d", 1), ("400d", 0)] {
        let text = format!("retention.messages = '{time}'");
        let config =
            Config::parse_for(&text, "", &Environment::default(), Requirements::every(Need::Optional)).unwrap();
        let reach = Reach { now: later, oldest: later };
        for _ in 0..4 {
            look_after(&db.store, reach, &config.retention, &Metrics::new(&config)).await;
        }
        assert_eq!(db.number("SELECT count(*) FROM messages").await, rows, "{time}");
    }
}

#[tokio::test]
async fn keys_are_cleared_away_while_a_month_cannot_be_dropped() {
    let db = Database::new().await;
    outcome(&db.store, &record(1, 0, "k")).await;
    many_expired_keys(&db).await;
    let mut reader = db.pool.begin().await.unwrap();
    sqlx::query("SELECT count(*) FROM messages").execute(&mut *reader).await.unwrap();
    let requirements = Requirements {
        nats: Need::Unused,
        postgres: Need::Unused,
        hash_key: Need::Unused,
        source_secrets: Need::Unused,
        attachments: Need::Unused,
    };
    let config = Config::parse_for("", "", &Environment::default(), requirements).unwrap();
    let later = START + 800 * 24 * 60 * MINUTE;
    let metrics = Metrics::new(&config);
    let look = async || {
        look_after(&db.store, Reach { now: later, oldest: later }, &config.retention, &metrics).await;
    };
    look().await;
    assert_eq!(db.number("SELECT count(*) FROM messages").await, 1, "somebody reads the month");
    reader.rollback().await.unwrap();
    look().await;
    assert_eq!(db.number("SELECT count(*) FROM message_keys").await, 0);
}

#[tokio::test]
async fn the_databases_time_is_that_of_its_own_clock() {
    let db = Database::new().await;
    let clock = "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint";
    let (before, now, after) = (db.number(clock).await, db.store.now().await.unwrap(), db.number(clock).await);
    assert!(before <= now && now <= after, "{before} {now} {after}");
}

#[tokio::test]
async fn a_persister_that_writes_nothing_knows_whether_the_database_answers() {
    let db = Database::new().await;
    let (health, shutdown) = (Health::default(), CancellationToken::new());
    let store = Arc::new(Store::connect(&db.url, 2).await.unwrap());
    let pulse = pulse::run(store, health.dependency("postgres"), shutdown.clone());
    let name = db.texts("SELECT current_database()::text").await.remove(0);
    let elsewhere = sqlx::PgPool::connect(&url_of("postgres")).await.unwrap();
    let run = async |statement: String| {
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&elsewhere).await.unwrap();
    };
    let look = async {
        eventually("it is ready", async || health.is_ready()).await;
        run(format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false")).await;
        run(format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")).await;
        eventually("it is not ready", async || !health.is_ready()).await;
        run(format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true")).await;
        eventually("it is ready again", async || health.is_ready()).await;
        shutdown.cancel();
    };
    let (ended, ()) = tokio::join!(pulse, look);
    ended.unwrap();
}
