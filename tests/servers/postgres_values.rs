//! Poison: values that a record can hold and a column cannot, by the state that says whose fault it is.

use sqlx::PgConnection;
use tests::servers::postgres::{connect, database, refused, run, sqlstate};

async fn bound(connection: &mut PgConnection, sql: &'static str, value: &str) -> String {
    let error = sqlx::query(sql).bind(value.to_owned()).execute(connection).await;
    sqlstate(&error.expect_err(sql))
}

/// X10. Rests on it: `persister/src/row.rs` (texts are cleaned before), `persister/src/fault.rs` (class 22 is bisected).
#[tokio::test]
async fn a_nul_in_a_text_is_22021() {
    let mut connection = connect(&database().await).await;
    assert_eq!(bound(&mut connection, "SELECT $1::text", "a\0b").await, "22021");
}

/// X10. Rests on it: `persister/src/row.rs`, `persister/src/fault.rs`.
#[tokio::test]
async fn an_escaped_nul_in_jsonb_is_22p05_and_json_takes_it() {
    let mut connection = connect(&database().await).await;
    assert_eq!(bound(&mut connection, "SELECT $1::text::jsonb", r#"{"a": "\u0000"}"#).await, "22P05");
    sqlx::query("SELECT $1::text::json").bind(r#"{"a": "\u0000"}"#).execute(&mut connection).await.unwrap();
}

/// X10. Rests on it: `persister/src/row.rs`, `persister/src/fault.rs`.
#[tokio::test]
async fn half_a_pair_of_surrogates_in_jsonb_is_22p02() {
    let mut connection = connect(&database().await).await;
    for text in [r#"{"a": "\ud800"}"#, r#"{"a": "\udc00"}"#, "{", "nul"] {
        assert_eq!(bound(&mut connection, "SELECT $1::text::jsonb", text).await, "22P02", "{text}");
    }
}

/// E17. Rests on it: `persister/src/row.rs` (texts that are indexed), `persister/src/fault.rs` (54 is bisected).
#[tokio::test]
async fn a_text_that_is_too_long_for_its_index_is_54000_and_a_beginning_of_it_is_not() {
    let mut connection = connect(&database().await).await;
    run(
        &mut connection,
        "CREATE TABLE whole (t text); CREATE INDEX ON whole (t);
        CREATE TABLE beginning (t text); CREATE INDEX ON beginning (left(t, 512))",
    )
    .await;
    // What does not compress.
    let long = "SELECT string_agg(md5(n::text), '') FROM generate_series(1, 1000) n";
    assert_eq!(refused(&mut connection, &format!("INSERT INTO whole {long}")).await, "54000");
    run(&mut connection, &format!("INSERT INTO beginning {long}")).await;
}

/// Rests on it: `persister/src/row.rs` (numbers of JSON are kept exactly), `persister/src/fault.rs`.
#[tokio::test]
async fn a_number_in_jsonb_keeps_every_digit_up_to_a_limit_that_is_22003() {
    let mut connection = connect(&database().await).await;
    for text in ["12345678901234567890.123456789012345678901234567890", "1.10", "0.1e-50"] {
        let kept: String = sqlx::query_scalar("SELECT ($1::text::jsonb -> 'n')::text")
            .bind(format!("{{\"n\": {text}}}"))
            .fetch_one(&mut connection)
            .await
            .unwrap();
        if text.contains('e') {
            assert!(kept.starts_with("0.000"), "{kept}");
        } else {
            assert_eq!(kept, text);
        }
    }
    assert_eq!(bound(&mut connection, "SELECT $1::text::jsonb", r#"{"n": 1e999999}"#).await, "22003");
    assert_eq!(bound(&mut connection, "SELECT $1::text::bigint", "9223372036854775808").await, "22003");
}

/// Rests on it: `persister/src/row.rs` (of two keys of one name in an object the last one stays; their order is not kept).
#[tokio::test]
async fn jsonb_keeps_the_last_of_two_equal_keys_and_not_their_order() {
    let mut connection = connect(&database().await).await;
    let kept: String = sqlx::query_scalar(r#"SELECT '{"bb": 1, "a": 1, "a": 2}'::jsonb::text"#)
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(kept, r#"{"a": 2, "bb": 1}"#);
}

/// Rests on it: `persister/src/fault.rs` (a `NULL` where none may be is a row's fault).
#[tokio::test]
async fn a_missing_value_is_23502() {
    let mut connection = connect(&database().await).await;
    run(&mut connection, "CREATE TABLE t (n int NOT NULL)").await;
    assert_eq!(refused(&mut connection, "INSERT INTO t VALUES (NULL)").await, "23502");
}
