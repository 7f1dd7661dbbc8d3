//! Whose fault it is: a record the database refuses is found among others; a database in trouble costs nobody.

use crate::postgres::Database;
use crate::records::{Record, letter, outcome, outcomes, record, write};
use persister::Outcome::{Redelivered, Stored};
use persister::{Refusal, SchemaError, Settled, Store, StoreError};
use proto::Kind;
use serde_json::value::RawValue;

/// A record that PostgreSQL cannot hold: half of a surrogate pair.
fn poison(request: u128) -> Record {
    let mut poison = record(request, 0, &format!("poison {request}"));
    poison.message.metadata = RawValue::from_string(r#"{"a":"\ud800"}"#.to_owned()).unwrap();
    poison
}

fn refused(sqlstate: &str) -> Settled {
    Settled::Dead(Refusal { sqlstate: Some(sqlstate.to_owned()) })
}

#[tokio::test]
async fn a_refused_record_is_found_and_the_others_are_stored() {
    let db = Database::new().await;
    let mut batch: Vec<Record> = (0..200_u128).map(|n| record(n, 0, &format!("{n}"))).collect();
    batch.insert(117, poison(1000));
    batch.insert(20, poison(1001).of_kind(Kind::Status));
    let report = write(&db.store, &batch).await;
    assert!(report.wait.is_none());
    for (place, settled) in report.rows.iter().enumerate() {
        let expected = if place == 20 || place == 118 { refused("22P02") } else { Settled::Ended(Stored) };
        assert_eq!(*settled, expected, "place {place}");
    }
    assert_eq!(db.number("SELECT count(*) FROM messages").await, 200);
    assert_eq!(db.number("SELECT count(*) FROM message_keys").await, 200, "what is not stored holds no key");
}

#[tokio::test]
async fn a_refused_record_alone_is_told_from_a_database_that_refuses_all() {
    let db = Database::new().await;
    assert_eq!(write(&db.store, &[poison(1)]).await.rows, [refused("22P02")]);
    assert_eq!(db.number("SELECT count(*) FROM messages").await, 0, "the record it was compared with is not kept");
    db.run("ALTER TABLE messages ADD CONSTRAINT nobody CHECK (part < 0)").await;
    let report = write(&db.store, &[record(2, 0, "k"), record(3, 0, "l")]).await;
    assert_eq!(report.rows, [Settled::Waits, Settled::Waits]);
    assert!(matches!(report.wait, Some(StoreError::RefusesAll(_))), "{:?}", report.wait);
    db.run("ALTER TABLE messages DROP CONSTRAINT nobody").await;
    assert_eq!(outcome(&db.store, &record(2, 0, "k")).await, Stored);
}

#[tokio::test]
async fn a_constraint_of_the_operators_refuses_only_what_breaks_it() {
    let db = Database::new().await;
    db.run("ALTER TABLE messages ADD CONSTRAINT polite CHECK (text <> 'rude')").await;
    let report = write(&db.store, &[record(1, 0, "k").saying("rude"), record(2, 0, "l")]).await;
    assert_eq!(report.rows, [refused("23514"), Settled::Ended(Stored)]);
}

#[tokio::test]
async fn a_constraint_that_wants_a_column_refuses_only_what_lacks_it_also_alone() {
    let db = Database::new().await;
    db.run("ALTER TABLE messages ADD CONSTRAINT named CHECK (provider_message_id IS NOT NULL)").await;
    let mut nameless = record(1, 0, "k");
    nameless.message.provider_message_id = None;
    assert_eq!(write(&db.store, &[nameless]).await.rows, [refused("23514")]);
    db.run(
        "ALTER TABLE messages DROP CONSTRAINT named;
         ALTER TABLE messages ADD CONSTRAINT plain CHECK (html IS NULL),
             ADD CONSTRAINT addressed CHECK (recipients <> '[]' AND sender_address IS NOT NULL)",
    )
    .await;
    let mut pretty = record(2, 0, "l");
    pretty.message.html = Some("<p>".to_owned());
    assert_eq!(write(&db.store, &[pretty, record(3, 0, "m")]).await.rows, [refused("23514"), Settled::Ended(Stored)]);
    assert_eq!(write(&db.store, &[record(4, 0, "n").saying("x")]).await.rows, [Settled::Ended(Stored)]);
    assert_eq!(db.number("SELECT count(*) FROM messages").await, 2, "what was made up is not kept");
}

#[tokio::test]
async fn a_record_taken_in_the_same_batch_is_proof_that_the_database_takes_records() {
    let db = Database::new().await;
    // Nothing that is made up passes this.
    db.run("ALTER TABLE messages ADD CONSTRAINT twilios CHECK ((provider_message_id LIKE 'SM%') IS TRUE)").await;
    let mut strange = record(1, 0, "k");
    strange.message.provider_message_id = Some("x".to_owned());
    let alone = write(&db.store, &[strange.clone()]).await;
    assert!(matches!(alone.wait, Some(StoreError::RefusesAll(_))), "{:?}", alone.wait);
    let batch = [strange.clone(), record(2, 0, "l"), record(3, 0, "m").of_kind(Kind::Status)];
    assert_eq!(write(&db.store, &batch).await.rows[..2], [refused("23514"), Settled::Ended(Stored)]);
    // One that was there before, or of the other table, proves nothing.
    let redelivered = [strange, record(2, 0, "l"), record(4, 0, "n").of_kind(Kind::Status)];
    assert!(write(&db.store, &redelivered).await.wait.is_some());
}

#[tokio::test]
async fn a_database_that_cannot_write_now_makes_everybody_wait() {
    let db = Database::new().await;
    let batch = [record(1, 0, "k"), poison(2)];
    let name = db.texts("SELECT current_database()::text").await.remove(0);
    db.run(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on")).await;
    let report = write(&db.store, &batch).await;
    assert_eq!(report.rows, [Settled::Waits, Settled::Waits]);
    assert!(report.wait.is_some());
    db.run(&format!(
        "SET default_transaction_read_only = off; ALTER DATABASE {name} RESET default_transaction_read_only"
    ))
    .await;
    let again = Store::connect(&db.url, 2).await.unwrap();
    assert_eq!(write(&again, &batch).await.rows, [Settled::Ended(Stored), refused("22P02")]);
}

#[tokio::test]
async fn connections_that_a_restart_left_behind_cost_nobody_anything() {
    let db = Database::new().await;
    assert_eq!(outcome(&db.store, &record(1, 0, "k")).await, Stored);
    db.run(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
         WHERE application_name = 'penstock-persister' AND datname = current_database()",
    )
    .await;
    let batch = [record(1, 0, "k"), record(2, 0, "l")];
    assert_eq!(outcomes(&db.store, &batch).await, [Redelivered, Stored]);
}

#[tokio::test]
async fn a_connection_that_waited_in_vain_for_a_lock_can_be_used_again() {
    let db = Database::new().await;
    let connect = async || Store::connect(&db.url, 1).await.unwrap();
    let (one, two, three) = (connect().await, connect().await, connect().await);
    let (plain, replay) = ([record(1, 0, "k")], [record(2, 0, "l").replayed(1)]);
    let letters = [letter(&record(3, 0, "m"), "crash")];
    one.make_months(plain[0].message.received_at).await.unwrap();
    let mut other = db.pool.begin().await.unwrap();
    sqlx::query("SELECT pg_advisory_xact_lock(7236834, 1)").execute(&mut *other).await.unwrap();
    let (plain_waits, replay_waits, letters_wait) =
        tokio::join!(write(&one, &plain), write(&two, &replay), three.record_dead_letters(&letters));
    for report in [plain_waits, replay_waits] {
        assert_eq!(report.rows, [Settled::Waits]);
        assert!(matches!(report.wait, Some(StoreError::Write(_))), "{:?}", report.wait);
    }
    assert!(matches!(letters_wait, Err(StoreError::DeadLetters(_))), "{letters_wait:?}");
    other.rollback().await.unwrap();
    assert_eq!(write(&one, &plain).await.rows, [Settled::Ended(Stored)]);
    assert_eq!(write(&two, &replay).await.rows, [Settled::Ended(Stored)]);
    three.record_dead_letters(&letters).await.unwrap();
}

#[tokio::test]
async fn a_database_that_is_away_is_waited_for() {
    let store = Store::connect("postgres://nobody@127.0.0.1:1/nothing", 2).await.unwrap();
    let report = write(&store, &[record(1, 0, "k")]).await;
    assert_eq!(report.rows, [Settled::Waits]);
    assert!(matches!(report.wait, Some(StoreError::Month(_) | StoreError::Connect(_))), "{:?}", report.wait);
    assert!(matches!(Store::connect("not a url", 2).await, Err(StoreError::Url)));
}

#[tokio::test]
async fn a_month_that_was_dropped_is_made_again() {
    let db = Database::new().await;
    outcome(&db.store, &record(1, 0, "k")).await;
    db.run("DROP TABLE messages_2026_11, duplicates_2026_11").await;
    assert_eq!(outcomes(&db.store, &[record(2, 0, "l"), record(3, 1, "l")]).await[0], Stored);
    assert_eq!(db.number("SELECT count(*) FROM duplicates").await, 1);
}

#[tokio::test]
async fn a_text_longer_than_an_index_entry_is_stored_whole() {
    let db = Database::new().await;
    let long = "👋".repeat(20_000);
    let mut long_one = record(1, 0, "k");
    long_one.message.conversation = Some(long.clone());
    long_one.message.provider_message_id = Some(long.clone());
    long_one.message.sender.as_mut().unwrap().address = Some(long);
    assert_eq!(outcome(&db.store, &long_one).await, Stored);
    let whole = "SELECT count(*) FROM messages WHERE length(conversation) = 20000 AND length(sender_address) = 20000";
    assert_eq!(db.number(whole).await, 1);
}

#[tokio::test]
async fn tables_that_are_not_ready_are_named_with_the_command_that_mends_them() {
    let db = Database::without_tables().await;
    let missing = db.store.check_schema().await.unwrap_err();
    assert!(matches!(missing, SchemaError::Missing { version: 1 }));
    assert!(missing.to_string().contains("persister migrate"), "{missing}");
    let report = write(&db.store, &[record(1, 0, "k")]).await;
    assert_eq!(report.rows, [Settled::Waits]);

    let (one, two) = tokio::join!(db.store.migrate(), db.store.migrate());
    one.and(two).unwrap();
    db.store.check_schema().await.unwrap();
    assert_eq!(outcome(&db.store, &record(1, 0, "k")).await, Stored);

    db.run("INSERT INTO _sqlx_migrations VALUES (9999, 'from the next version', now(), true, '', 1)").await;
    db.store.migrate().await.unwrap();
    db.store.check_schema().await.unwrap();
    db.run("UPDATE _sqlx_migrations SET checksum = '' WHERE version = 1").await;
    assert!(matches!(db.store.check_schema().await, Err(SchemaError::Differs { version: 1 })));
}
