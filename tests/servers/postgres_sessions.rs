//! What a connection is set to, and what its time limits do.

use std::time::Duration;

use sqlx::{Connection as _, Executor as _};
use tests::servers::postgres::{connect, database, number, refused, run, sqlstate};

/// Rests on it: `persister/src/store.rs` (`SETTINGS`: a statement ends whatever becomes of its caller),
/// `persister/src/fault.rs` (57014 waits).
#[tokio::test]
async fn a_statement_that_takes_too_long_is_57014_and_its_connection_goes_on() {
    let mut connection = connect(&database().await).await;
    run(&mut connection, "SET statement_timeout = '100ms'").await;
    assert_eq!(refused(&mut connection, "SELECT pg_sleep(10)").await, "57014");
    assert_eq!(number(&mut connection, "SELECT 1::bigint").await, 1);
}

/// Rests on it: `persister/src/store.rs` (`SETTINGS`: a persister that freezes in a transaction does not keep its locks).
#[tokio::test]
async fn a_transaction_that_idles_is_ended_and_its_locks_are_free() {
    let options = database().await;
    let (mut idle, mut other) = (connect(&options).await, connect(&options).await);
    run(&mut other, "CREATE TABLE t (n int); INSERT INTO t VALUES (1)").await;
    run(&mut idle, "SET idle_in_transaction_session_timeout = '200ms'; BEGIN; UPDATE t SET n = 2").await;
    run(&mut other, "SET lock_timeout = '10s'; UPDATE t SET n = n + 10").await;
    assert_eq!(number(&mut other, "SELECT n::bigint FROM t").await, 11);
    let error = idle.execute("SELECT 1").await.unwrap_err();
    let state = sqlstate(&error);
    assert!(state == "25P03" || matches!(error, sqlx::Error::Io(_)), "{error}");
}

/// Rests on it: `persister/src/fault.rs` (25006 waits: a standby that is not yet the primary).
#[tokio::test]
async fn a_write_where_only_reading_is_allowed_is_25006() {
    let mut connection = connect(&database().await).await;
    run(&mut connection, "CREATE TABLE t (n int); SET default_transaction_read_only = on").await;
    assert_eq!(refused(&mut connection, "INSERT INTO t VALUES (1)").await, "25006");
    let mut transaction = connection.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED").await.unwrap();
    let error = transaction.execute("INSERT INTO t VALUES (1)").await.unwrap_err();
    assert_eq!(sqlstate(&error), "25006");
}

/// Rests on it: `persister/src/fault.rs` (25 waits), `persister/src/session.rs` (what fails after BEGIN is rolled back).
#[tokio::test]
async fn after_an_error_a_transaction_takes_nothing_and_its_commit_is_a_rollback() {
    let mut connection = connect(&database().await).await;
    run(&mut connection, "CREATE TABLE t (n int)").await;
    run(&mut connection, "BEGIN; INSERT INTO t VALUES (1)").await;
    assert_eq!(refused(&mut connection, "SELECT 1 / 0").await, "22012");
    assert_eq!(refused(&mut connection, "SELECT 1").await, "25P02");
    run(&mut connection, "COMMIT").await;
    assert_eq!(number(&mut connection, "SELECT count(*) FROM t").await, 0);
}

/// Rests on it: `persister/src/fault.rs` (42 waits: tables and rights are no record's fault).
#[tokio::test]
async fn missing_tables_columns_and_rights_are_class_42() {
    let mut connection = connect(&database().await).await;
    let role = format!("nobody_{}", uuid::Uuid::new_v4().simple());
    run(&mut connection, &format!("CREATE TABLE t (n int); CREATE ROLE {role}")).await;
    assert_eq!(refused(&mut connection, "SELECT FROM nowhere").await, "42P01");
    assert_eq!(refused(&mut connection, "SELECT nothing FROM t").await, "42703");
    assert_eq!(refused(&mut connection, &format!("SET ROLE {role}; INSERT INTO t VALUES (1)")).await, "42501");
    run(&mut connection, &format!("RESET ROLE; DROP ROLE {role}")).await;
}

/// Rests on it: `persister/src/store.rs` (`SETTINGS`: a commit is on disk before it is told, whatever the server's default
/// is; stricter ones are left).
#[tokio::test]
async fn synchronous_commit_is_set_back_only_where_it_was_off() {
    const SETTING: &str = "SELECT set_config('synchronous_commit', 'on', false)
        WHERE current_setting('synchronous_commit') IN ('off', 'local')";
    let mut connection = connect(&database().await).await;
    for (before, after) in [("off", "on"), ("local", "on"), ("on", "on"), ("remote_apply", "remote_apply")] {
        run(&mut connection, &format!("SET synchronous_commit = '{before}'; {SETTING}")).await;
        let found: String = sqlx::query_scalar("SELECT current_setting('synchronous_commit')")
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert_eq!(found, after);
    }
}

/// Rests on it: `persister/src/store.rs` (`SETTINGS`: every setting has to be known to the server).
#[tokio::test]
async fn every_setting_of_a_connection_is_known() {
    let mut connection = connect(&database().await).await;
    run(
        &mut connection,
        "SET statement_timeout = '30s'; SET lock_timeout = '10s'; SET idle_in_transaction_session_timeout = '60s';
         SET plan_cache_mode = force_generic_plan; SET jit = off;
         SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_material = off;
         SELECT set_config('default_toast_compression', 'lz4', false) FROM pg_settings
            WHERE name = 'default_toast_compression' AND 'lz4' = ANY (enumvals)",
    )
    .await;
}

/// Rests on it: `persister/src/judge.rs` (a caller that goes away is noticed at the latest by the next statement; what it
/// had not committed is gone).
#[tokio::test]
async fn a_connection_that_goes_away_in_a_transaction_leaves_nothing() {
    let options = database().await;
    let (mut first, mut second) = (connect(&options).await, connect(&options).await);
    run(&mut first, "BEGIN; CREATE TABLE u (n int)").await;
    first.close_hard().await.unwrap();
    tests::eventually(Duration::from_secs(10), "the server has noticed", async || {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()";
        let found = number(&mut second, sql).await;
        tests::eventually::ensure(found == 1, || format!("{found} connections"))
    })
    .await;
    assert_eq!(number(&mut second, "SELECT (to_regclass('u') IS NULL)::int::bigint").await, 1);
}
