//! Months: what a row without one is told, and that making one is safe from several places.

use tests::servers::postgres::{connect, database, number, refused, run};

const TABLE: &str =
    "CREATE TABLE messages (received_at timestamptz, id int, kind text CONSTRAINT a_kind CHECK (kind <> ''),
    PRIMARY KEY (received_at, id)) PARTITION BY RANGE (received_at)";
const MONTH: &str =
    "CREATE TABLE IF NOT EXISTS messages_2026_11 (LIKE messages INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
    ALTER TABLE messages ATTACH PARTITION messages_2026_11
        FOR VALUES FROM ('2026-11-01 00:00:00+00') TO ('2026-12-01 00:00:00+00');";
const ROW: &str = "INSERT INTO messages VALUES ('2026-11-26 12:00:00+00', 1, 'message')";

/// Rests on it: `persister/src/fault.rs` (23514 makes a month only where no constraint is named).
#[tokio::test]
async fn a_row_without_a_month_and_a_row_that_fails_a_check_have_one_state_and_only_one_names_a_constraint() {
    let mut connection = connect(&database().await).await;
    run(&mut connection, TABLE).await;
    let error = sqlx::query(ROW).execute(&mut connection).await.unwrap_err();
    let error = error.as_database_error().unwrap();
    assert_eq!((error.code().as_deref(), error.constraint()), (Some("23514"), None));
    run(&mut connection, MONTH).await;
    run(&mut connection, ROW).await;
    let bad = "INSERT INTO messages VALUES ('2026-11-26 12:00:00+00', 2, '')";
    let error = sqlx::query(bad).execute(&mut connection).await.unwrap_err();
    let error = error.as_database_error().unwrap();
    assert_eq!((error.code().as_deref(), error.constraint()), (Some("23514"), Some("a_kind")));
}

/// Rests on it: `persister/src/partitions.rs` (there is no default partition: a month could not be made any more).
#[tokio::test]
async fn a_default_partition_that_holds_a_row_keeps_its_month_from_being_made() {
    let mut connection = connect(&database().await).await;
    run(&mut connection, &format!("{TABLE}; CREATE TABLE rest PARTITION OF messages DEFAULT; {ROW}")).await;
    assert_eq!(refused(&mut connection, MONTH).await, "23514");
}

/// Rests on it: `persister/src/partitions.rs` (`make`: several statements in one query are one transaction, so nothing is
/// left half made and the lock holds to the end).
#[tokio::test]
async fn several_statements_in_one_query_are_one_transaction() {
    let options = database().await;
    let (mut connection, mut other) = (connect(&options).await, connect(&options).await);
    assert_eq!(refused(&mut connection, "CREATE TABLE half (n int); SELECT 1 / 0").await, "22012");
    assert_eq!(number(&mut other, "SELECT (to_regclass('half') IS NULL)::int::bigint").await, 1);
    // Also a lock, and a setting, that are for one transaction.
    run(
        &mut connection,
        "SELECT pg_advisory_xact_lock(1, 2); SET LOCAL lock_timeout = '7s';
         CREATE TABLE seen AS SELECT pg_try_advisory_xact_lock(1, 2) AS own, current_setting('lock_timeout') AS lock_timeout,
            (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()) AS held",
    )
    .await;
    assert_eq!(number(&mut connection, "SELECT held FROM seen WHERE own AND lock_timeout = '7s'").await, 1);
    assert_eq!(number(&mut other, "SELECT pg_try_advisory_xact_lock(1, 2)::int::bigint").await, 1);
}

/// Rests on it: `persister/src/partitions.rs` (`make_one`), `persister/src/sql/judge.sql` (a month that is attached has the
/// primary key that rows are found by).
#[tokio::test]
async fn a_month_that_is_attached_gets_the_keys_and_checks_of_its_table() {
    let mut connection = connect(&database().await).await;
    run(&mut connection, &format!("{TABLE}; {MONTH} {ROW}")).await;
    assert_eq!(refused(&mut connection, ROW).await, "23505");
    let keys = "SELECT count(*) FROM pg_index WHERE indrelid = 'messages_2026_11'::regclass AND indisprimary";
    assert_eq!(number(&mut connection, keys).await, 1);
    assert_eq!(refused(&mut connection, MONTH).await, "42809", "it is attached already");
}

/// Rests on it: `persister/src/schema.rs` (the primary key holds the time, because it must).
#[tokio::test]
async fn a_unique_key_of_a_partitioned_table_has_to_hold_the_time() {
    let mut connection = connect(&database().await).await;
    let table = "CREATE TABLE t (received_at timestamptz, id int PRIMARY KEY) PARTITION BY RANGE (received_at)";
    assert_eq!(refused(&mut connection, table).await, "0A000");
}
