//! Advisory locks: how a replay is alone while batches are beside each other.

use std::time::Duration;

use sqlx::Connection as _;
use tests::servers::postgres::{connect, database, number, refused, run};

const SHARED: &str = "SELECT pg_advisory_xact_lock_shared(7236834, 1)";
const ALONE: &str = "SELECT pg_advisory_xact_lock(7236834, 1)";
const TRY: &str = "SELECT pg_try_advisory_xact_lock(7236834, 1)::int::bigint";
const TRY_SHARED: &str = "SELECT pg_try_advisory_xact_lock_shared(7236834, 1)::int::bigint";

/// Rests on it: `persister/src/session.rs` (`ALONE`), `persister/src/sql/keys.sql` (its first lock).
#[tokio::test]
async fn many_share_an_advisory_lock_and_one_has_it_alone() {
    let options = database().await;
    let (mut first, mut second, mut third) =
        (connect(&options).await, connect(&options).await, connect(&options).await);
    run(&mut first, &format!("BEGIN; {SHARED}")).await;
    run(&mut second, &format!("BEGIN; {SHARED}")).await;
    assert_eq!(number(&mut third, TRY).await, 0);
    run(&mut first, "COMMIT").await;
    assert_eq!(number(&mut third, TRY).await, 0);
    run(&mut second, "ROLLBACK").await;
    assert_eq!(number(&mut third, TRY).await, 1);
    run(&mut third, &format!("BEGIN; {ALONE}")).await;
    assert_eq!(number(&mut first, TRY_SHARED).await, 0);
}

/// Rests on it: `persister/src/session.rs` (a process that dies as a replay's holds up nobody).
#[tokio::test]
async fn an_advisory_lock_of_a_transaction_ends_with_its_connection() {
    let options = database().await;
    let (mut first, mut second) = (connect(&options).await, connect(&options).await);
    run(&mut first, &format!("BEGIN; {ALONE}")).await;
    assert_eq!(number(&mut second, TRY).await, 0);
    first.close_hard().await.unwrap();
    tests::eventually(Duration::from_secs(10), "the lock is free", async || {
        let free = number(&mut second, TRY).await;
        tests::eventually::ensure(free == 1, || "it is held".to_owned())
    })
    .await;
}

/// Rests on it: `persister/src/sql/keys.sql` (who waits for the lock in the first place of a statement has not touched a
/// key yet: the join gives its rows to the sort first).
#[tokio::test]
async fn a_statement_that_waits_for_the_lock_in_its_join_has_locked_no_key() {
    let options = database().await;
    let (mut alone, mut batch, mut watcher) =
        (connect(&options).await, connect(&options).await, connect(&options).await);
    run(&mut watcher, "CREATE TABLE keys (key int PRIMARY KEY, id int); INSERT INTO keys VALUES (1, 1), (2, 1)").await;
    run(&mut alone, &format!("BEGIN; {ALONE}")).await;
    run(
        &mut batch,
        "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET enable_hashjoin = off;
        SET enable_mergejoin = off; SET enable_material = off",
    )
    .await;
    let waiting = async {
        sqlx::query(
            "INSERT INTO keys AS held (key, id)
             SELECT DISTINCT ON (i.key) i.key, i.id
             FROM (SELECT pg_advisory_xact_lock_shared(7236834, 1)) AS beside
             CROSS JOIN unnest($1::int[], $2::int[]) AS i (key, id)
             ORDER BY i.key, i.id
             ON CONFLICT (key) DO UPDATE SET id = held.id WHERE false",
        )
        .bind(vec![2, 1])
        .bind(vec![5, 5])
        .execute(&mut batch)
        .await
        .unwrap()
    };
    let free = "SELECT count(*) FROM (SELECT FROM keys FOR UPDATE SKIP LOCKED) AS free";
    let looking = async {
        tests::eventually(Duration::from_secs(10), "the batch waits", async || {
            let sql = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
            let found = number(&mut watcher, sql).await;
            tests::eventually::ensure(found == 1, || format!("{found}"))
        })
        .await;
        let found = number(&mut watcher, free).await;
        run(&mut alone, "COMMIT").await;
        found
    };
    let (_, found) = futures::join!(waiting, looking);
    assert_eq!(found, 2);
}

/// Rests on it: `persister/src/fault.rs` (55P03 waits), `persister/src/store.rs` (`SETTINGS`: a lock is waited for 10 s),
/// `persister/src/partitions.rs` (a month that is being read is dropped another time).
#[tokio::test]
async fn a_lock_that_is_not_had_in_time_is_55p03_for_rows_advisory_locks_and_tables() {
    let options = database().await;
    let (mut first, mut second) = (connect(&options).await, connect(&options).await);
    run(&mut first, "CREATE TABLE t (n int PRIMARY KEY); INSERT INTO t VALUES (1)").await;
    run(&mut first, &format!("BEGIN; {ALONE}; SELECT FROM t WHERE n = 1 FOR UPDATE")).await;
    run(&mut second, "SET lock_timeout = '100ms'").await;
    for statement in [SHARED, "UPDATE t SET n = 2 WHERE n = 1", "DROP TABLE t"] {
        assert_eq!(refused(&mut second, statement).await, "55P03", "{statement}");
    }
    run(&mut first, "COMMIT").await;
    run(&mut second, "BEGIN; SET LOCAL lock_timeout = '1s'; DROP TABLE t; COMMIT").await;
    assert_eq!(number(&mut second, "SELECT (current_setting('lock_timeout') = '100ms')::int::bigint").await, 1);
}
