//! The locks that a batch is judged under: `keys.sql` in miniature.

use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, Executor as _, PgConnection};
use tests::servers::postgres::{connect, database, number, run};

const KEYS: &str = "CREATE TABLE keys (key int PRIMARY KEY, id int NOT NULL)";
/// What `keys.sql` does, for keys `1` and `2`.
const LOCK: &str = "INSERT INTO keys AS held (key, id) VALUES (1, $1), (2, $1)
    ON CONFLICT (key) DO UPDATE SET id = held.id WHERE false RETURNING key";

async fn table() -> (PgConnectOptions, PgConnection) {
    let options = database().await;
    let mut connection = connect(&options).await;
    run(&mut connection, KEYS).await;
    (options, connection)
}

/// Whether somebody waits for a lock in this database.
async fn waiting(connection: &mut PgConnection) {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    tests::eventually(Duration::from_secs(10), "the other one waits for a lock", async || {
        let found = number(connection, sql).await;
        tests::eventually::ensure(found == 1, || format!("{found}"))
    })
    .await;
}

/// Rests on it: `persister/src/sql/keys.sql` (`WHERE false` locks the holder's row and changes nothing).
#[tokio::test]
async fn on_conflict_do_update_where_false_changes_nothing_and_locks_the_row() {
    let (options, mut first) = table().await;
    run(&mut first, "INSERT INTO keys VALUES (1, 10)").await;
    let mut transaction = first.begin().await.unwrap();
    let returned = sqlx::query(LOCK).bind(20).fetch_all(&mut *transaction).await.unwrap();
    assert_eq!(returned.len(), 1, "only the new key is returned");
    let mut second = connect(&options).await;
    let free = "SELECT count(*) FROM (SELECT FROM keys WHERE key = 1 FOR UPDATE SKIP LOCKED) AS free";
    assert_eq!(number(&mut second, free).await, 0, "the row that was there is locked");
    transaction.commit().await.unwrap();
    assert_eq!(number(&mut second, free).await, 1);
    assert_eq!(number(&mut second, "SELECT id::bigint FROM keys WHERE key = 1").await, 10);
    assert_eq!(number(&mut second, "SELECT id::bigint FROM keys WHERE key = 2").await, 20);
}

/// Rests on it: `persister/src/sql/keys.sql` (two batches with a new key: one waits for the other's commit and then finds
/// its row, although its own snapshot is older), `persister/src/sql/judge.sql` (the statement after it sees that row).
#[tokio::test]
async fn on_conflict_waits_for_who_is_first_and_meets_what_that_one_has_committed() {
    let (options, mut first) = table().await;
    let mut second = connect(&options).await;
    let mut watcher = connect(&options).await;
    let mut transaction = first.begin().await.unwrap();
    sqlx::query(LOCK).bind(10).fetch_all(&mut *transaction).await.unwrap();
    let other = async {
        let mut transaction = second.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED").await.unwrap();
        let mine = sqlx::query(LOCK).bind(20).fetch_all(&mut *transaction).await.unwrap();
        let holder: i32 =
            sqlx::query_scalar("SELECT id FROM keys WHERE key = 1").fetch_one(&mut *transaction).await.unwrap();
        transaction.commit().await.unwrap();
        (mine.len(), holder)
    };
    let commit = async {
        waiting(&mut watcher).await;
        transaction.commit().await.unwrap();
    };
    let (found, ()) = futures::join!(other, commit);
    assert_eq!(found, (0, 10), "none of the keys is the second one's, and it sees whose they are");
}

/// Rests on it: `persister/src/sql/keys.sql` (a batch that fails holds no key of anybody).
#[tokio::test]
async fn on_conflict_takes_the_key_where_who_was_first_rolls_back() {
    let (options, mut first) = table().await;
    let mut second = connect(&options).await;
    let mut watcher = connect(&options).await;
    let mut transaction = first.begin().await.unwrap();
    sqlx::query(LOCK).bind(10).fetch_all(&mut *transaction).await.unwrap();
    let other = async { sqlx::query(LOCK).bind(20).fetch_all(&mut second).await.unwrap().len() };
    let rollback = async {
        waiting(&mut watcher).await;
        transaction.rollback().await.unwrap();
    };
    let (taken, ()) = futures::join!(other, rollback);
    assert_eq!(taken, 2);
    assert_eq!(number(&mut watcher, "SELECT sum(id) FROM keys").await, 40);
}

/// Rests on it: `persister/src/session.rs` (`BEGIN` names the level: under the next one up, what was committed after the
/// snapshot is an error and not a row).
#[tokio::test]
async fn under_repeatable_read_the_same_statement_fails_instead() {
    let (options, mut first) = table().await;
    let mut second = connect(&options).await;
    let mut transaction = second.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ").await.unwrap();
    sqlx::query("SELECT count(*) FROM keys").fetch_one(&mut *transaction).await.unwrap();
    run(&mut first, "INSERT INTO keys VALUES (1, 10)").await;
    let error = sqlx::query(LOCK).bind(20).fetch_all(&mut *transaction).await.unwrap_err();
    assert_eq!(tests::servers::postgres::sqlstate(&error), "40001");
}

/// Rests on it: `persister/src/session.rs` (the default of the server is not asked).
#[tokio::test]
async fn a_level_that_begin_names_is_taken_whatever_the_default_is() {
    let mut connection = connect(&database().await).await;
    run(&mut connection, "SET default_transaction_isolation = 'serializable'").await;
    let mut transaction = connection.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED").await.unwrap();
    let level: String = sqlx::query_scalar("SELECT current_setting('transaction_isolation')")
        .fetch_one(&mut *transaction)
        .await
        .unwrap();
    assert_eq!(level, "read committed");
}

/// Rests on it: `persister/src/sql/keys.sql` (keys are locked in their order, so two batches never wait for each other).
#[tokio::test]
async fn keys_that_are_locked_in_two_orders_are_a_deadlock_and_in_one_order_are_none() {
    let (options, mut first) = table().await;
    let mut second = connect(&options).await;
    for (order, deadlock) in [("DESC", true), ("ASC", false)] {
        run(&mut first, "TRUNCATE keys; INSERT INTO keys SELECT n, 0 FROM generate_series(1, 2) n").await;
        let lock = |key: i32| format!("SELECT FROM keys WHERE key = {key} FOR UPDATE");
        let (low, high) = if order == "ASC" { (1, 2) } else { (2, 1) };
        run(&mut first, &format!("BEGIN; {}", lock(1))).await;
        let other = async {
            second.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(format!("BEGIN; {}; {}", lock(low), lock(high))))).await
        };
        let own = async {
            if deadlock {
                // The other one has its first row before we ask for it.
                let mut watcher = connect(&options).await;
                waiting(&mut watcher).await;
            }
            let done = first.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(lock(2)))).await;
            first.execute("ROLLBACK").await.unwrap();
            done
        };
        let (other, own) = futures::join!(other, own);
        second.execute("ROLLBACK").await.unwrap();
        let failed: Vec<String> = [other, own]
            .into_iter()
            .filter_map(Result::err)
            .map(|error| tests::servers::postgres::sqlstate(&error))
            .collect();
        let expected: &[&str] = if deadlock { &["40P01"] } else { &[] };
        assert_eq!(failed, expected, "{order}");
    }
}

/// Rests on it: `persister/src/expiry.rs` (a key that is being judged is left alone).
#[tokio::test]
async fn skip_locked_passes_over_what_another_transaction_holds() {
    let (options, mut first) = table().await;
    run(&mut first, "INSERT INTO keys VALUES (1, 10), (2, 20)").await;
    let mut transaction = first.begin().await.unwrap();
    sqlx::query("INSERT INTO keys AS held VALUES (1, 30) ON CONFLICT (key) DO UPDATE SET id = held.id WHERE false")
        .execute(&mut *transaction)
        .await
        .unwrap();
    let mut second = connect(&options).await;
    let gone = "WITH old AS MATERIALIZED (SELECT ctid AS place FROM keys FOR UPDATE SKIP LOCKED),
        gone AS (DELETE FROM keys k USING old WHERE k.ctid = old.place RETURNING k.key) SELECT sum(key) FROM gone";
    assert_eq!(number(&mut second, gone).await, 2);
    transaction.commit().await.unwrap();
    assert_eq!(number(&mut second, "SELECT key::bigint FROM keys").await, 1);
}
