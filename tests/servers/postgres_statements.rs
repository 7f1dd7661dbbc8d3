//! What one statement over arrays does: the form that batches are written in.

use tests::servers::postgres::{connect, database, number, refused, run};

/// Rests on it: `persister/src/columns.rs` (arrays of different lengths are filled up in silence, so they are made in one
/// place), `persister/src/sql/messages.sql`.
#[tokio::test]
async fn arrays_of_different_lengths_are_filled_up_with_null() {
    let mut connection = connect(&database().await).await;
    let rows: Vec<(Option<i32>, Option<String>)> = sqlx::query_as("SELECT * FROM unnest($1::int[], $2::text[])")
        .bind(vec![1, 2])
        .bind(vec!["a"])
        .fetch_all(&mut connection)
        .await
        .unwrap();
    assert_eq!(rows, [(Some(1), Some("a".to_owned())), (Some(2), None)]);
}

/// Rests on it: `persister/src/columns.rs` (a column without a value is a NULL in its array, and stays one).
#[tokio::test]
async fn a_null_in_an_array_is_a_null_in_the_row_and_an_empty_text_is_not() {
    let mut connection = connect(&database().await).await;
    let found: Vec<Option<bool>> = sqlx::query_scalar("SELECT t IS NULL FROM unnest($1::text[]) AS t")
        .bind(vec![Some("a"), None, Some("")])
        .fetch_all(&mut connection)
        .await
        .unwrap();
    assert_eq!(found, [Some(false), Some(true), Some(false)]);
}

/// Rests on it: `persister/src/judge.rs` (verdicts come back by place), `persister/src/sql/judge.sql` (`WITH ORDINALITY`).
#[tokio::test]
async fn ordinality_is_the_place_in_the_array() {
    let mut connection = connect(&database().await).await;
    let values: Vec<i32> = (0..5000).rev().collect();
    let found: Vec<(i32, i64)> =
        sqlx::query_as("SELECT * FROM unnest($1::int[]) WITH ORDINALITY AS i (n, place) ORDER BY n")
            .bind(&values)
            .fetch_all(&mut connection)
            .await
            .unwrap();
    assert!(found.iter().all(|(n, place)| i64::from(*n) == 5000 - place), "{:?}", &found[..5]);
}

/// E17. Rests on it: `persister/src/batch.rs` (an id at most once in a statement), `persister/src/sql/keys.sql` (`DISTINCT ON`),
/// `persister/src/fault.rs`.
#[tokio::test]
async fn one_statement_cannot_update_a_row_twice() {
    let mut connection = connect(&database().await).await;
    run(&mut connection, "CREATE TABLE t (n int PRIMARY KEY, v int)").await;
    for statement in [
        "INSERT INTO t VALUES (1, 1), (1, 2) ON CONFLICT (n) DO UPDATE SET v = excluded.v",
        "INSERT INTO t VALUES (1, 1), (1, 2) ON CONFLICT (n) DO UPDATE SET v = t.v WHERE false",
    ] {
        assert_eq!(refused(&mut connection, statement).await, "21000", "{statement}");
    }
    run(&mut connection, "INSERT INTO t VALUES (1, 1), (1, 2) ON CONFLICT DO NOTHING").await;
    assert_eq!(number(&mut connection, "SELECT v::bigint FROM t").await, 1);
}

/// Rests on it: `persister/src/sql/judge.sql` (the parts of one statement all see what was there before it; `RETURNING` and
/// the CTEs carry what changes), `persister/src/sql/supersede.sql`.
#[tokio::test]
async fn the_parts_of_a_statement_do_not_see_what_the_others_write() {
    let mut connection = connect(&database().await).await;
    run(&mut connection, "CREATE TABLE t (n int PRIMARY KEY)").await;
    let sql = "WITH written AS (INSERT INTO t VALUES (1), (2) RETURNING n)
        SELECT (SELECT count(*) FROM t) * 10 + (SELECT count(*) FROM written)";
    assert_eq!(number(&mut connection, sql).await, 2);
    // A part that nobody reads is done all the same.
    assert_eq!(number(&mut connection, "WITH gone AS (DELETE FROM t) SELECT 1::bigint").await, 1);
    assert_eq!(number(&mut connection, "SELECT count(*) FROM t").await, 0);
}

/// Rests on it: `persister/src/sql/messages.sql`, `persister/src/sql/dead_letters.sql` (a row that the condition keeps as it
/// is comes not back, so what comes back was written).
#[tokio::test]
async fn returning_gives_what_was_written_and_not_what_a_condition_kept() {
    let mut connection = connect(&database().await).await;
    run(&mut connection, "CREATE TABLE t (n int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 5), (2, 5)").await;
    let sql = "WITH w AS (INSERT INTO t AS present VALUES (1, 9), (2, 3), (3, 1) ON CONFLICT (n)
        DO UPDATE SET v = excluded.v WHERE present.v < excluded.v RETURNING n) SELECT sum(n) FROM w";
    assert_eq!(number(&mut connection, sql).await, 1 + 3);
}

/// Rests on it: `persister/src/expiry.rs` (a stretch of a table is read by the places of its rows),
/// `persister/src/sql/judge.sql` (`place_of_key`).
#[tokio::test]
async fn rows_are_found_by_their_place_and_a_range_of_blocks_is_not_the_whole_table() {
    let mut connection = connect(&database().await).await;
    run(
        &mut connection,
        "CREATE TABLE t (n int); INSERT INTO t SELECT * FROM generate_series(1, 2000);
        SET enable_seqscan = off",
    )
    .await;
    let blocks = "pg_relation_size('t') / current_setting('block_size')::bigint";
    assert!(number(&mut connection, &format!("SELECT {blocks}")).await > 4);
    let plan: Vec<String> = sqlx::query_scalar(
        "EXPLAIN SELECT * FROM t WHERE ctid >= (SELECT format('(%s,0)', 1)::tid) AND ctid < (SELECT format('(%s,0)', 3)::tid)",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    assert!(plan.iter().any(|line| line.contains("Tid Range Scan on t")), "{plan:?}");
    let all = "SELECT count(*) FROM t WHERE ctid >= '(1,0)'::tid AND ctid < '(3,0)'::tid";
    let found = number(&mut connection, all).await;
    assert!(found > 0 && found < 1000, "{found}");
}
