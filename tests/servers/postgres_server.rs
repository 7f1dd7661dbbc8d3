//! The server stopped, killed, full of connections: which states a client sees, and what a commit is worth.

use std::time::Duration;

use nix::sys::signal::Signal;
use sqlx::{ConnectOptions as _, Executor as _};
use tests::eventually;
use tests::eventually::ensure;
use tests::servers::Postgres;
use tests::servers::postgres::{connect, number, run, sqlstate};

const SOON: Duration = Duration::from_secs(20);

/// Rests on it: `persister/src/fault.rs` (57P01 and a lost connection wait), `persister/src/session.rs` (connections that a
/// restarted server left behind are closed one after the other).
#[tokio::test]
async fn a_restart_ends_connections_with_57p01_or_without_a_word_and_keeps_every_commit() {
    let mut server = Postgres::start(&[]).await;
    let mut connection = connect(&server.options()).await;
    run(&mut connection, "CREATE TABLE t (n int); INSERT INTO t VALUES (1)").await;
    run(&mut connection, "BEGIN; INSERT INTO t VALUES (2)").await;
    server.stop().await;
    let error = connection.execute("COMMIT").await.unwrap_err();
    assert!(sqlstate(&error) == "57P01" || matches!(error, sqlx::Error::Io(_)), "{error}");
    let error = server.options().connect().await.unwrap_err();
    assert!(matches!(error, sqlx::Error::Io(_)), "{error}");
    server.again().await;
    let mut connection = connect(&server.options()).await;
    assert_eq!(number(&mut connection, "SELECT sum(n) FROM t").await, 1);

    // Asked to end while a statement runs: that one is told.
    let mut other = connect(&server.options()).await;
    let sleeping = async { connection.execute("SELECT pg_sleep(30)").await.unwrap_err() };
    let ending = async {
        let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query LIKE '%pg_sleep%'
            AND state = 'active' AND pid <> pg_backend_pid()";
        eventually(SOON, "the sleeper is ended", async || {
            let ended = number(&mut other, sql).await;
            ensure(ended == 1, || format!("{ended}"))
        })
        .await;
    };
    let (error, ()) = futures::join!(sleeping, ending);
    assert_eq!(sqlstate(&error), "57P01");
}

/// Rests on it: `persister/src/judge.rs` (what is committed is acknowledged to the broker, which forgets it then).
#[tokio::test]
async fn a_commit_is_there_after_the_server_was_killed() {
    let mut server = Postgres::start(&[]).await;
    let mut connection = connect(&server.options()).await;
    run(&mut connection, "CREATE TABLE t (n int)").await;
    for n in 0..20 {
        run(&mut connection, &format!("INSERT INTO t VALUES ({n})")).await;
    }
    run(&mut connection, "BEGIN; INSERT INTO t VALUES (1000)").await;
    server.child().kill();
    server.again().await;
    let mut connection = connect(&server.options()).await;
    assert_eq!(number(&mut connection, "SELECT count(*) FROM t").await, 20);
}

/// Rests on it: `persister/src/fault.rs` (57P02 and 57P03 wait: one process of the server that dies takes all connections
/// with it, and the server comes back by itself).
#[tokio::test]
async fn a_process_of_the_server_that_dies_ends_every_connection_and_it_recovers_alone() {
    let server = Postgres::start(&[]).await;
    let mut first = connect(&server.options()).await;
    let mut second = connect(&server.options()).await;
    run(&mut first, "CREATE TABLE t (n int); INSERT INTO t VALUES (1)").await;
    let pid = number(&mut first, "SELECT pg_backend_pid()::bigint").await;
    tests::child::send(i32::try_from(pid).unwrap(), Signal::SIGKILL);
    let error = eventually(SOON, "the other connection is ended", async || {
        second.execute("SELECT 1").await.err().ok_or("it still works")
    })
    .await;
    assert!(sqlstate(&error) == "57P02" || matches!(error, sqlx::Error::Io(_)), "{error}");
    eventually(SOON, "it takes connections again", async || match server.options().connect().await {
        Ok(mut connection) => {
            assert_eq!(number(&mut connection, "SELECT n::bigint FROM t").await, 1);
            Ok(())
        }
        Err(error) => {
            let state = sqlstate(&error);
            assert!(state == "57P03" || matches!(error, sqlx::Error::Io(_)), "{error}");
            Err(state)
        }
    })
    .await;
}

/// Rests on it: `persister/src/fault.rs` (53300 waits).
#[tokio::test]
async fn more_connections_than_there_are_is_53300() {
    let server = Postgres::start(&["max_connections=5", "superuser_reserved_connections=0", "max_wal_senders=0"]).await;
    let mut taken = Vec::new();
    let error = loop {
        match server.options().connect().await {
            Ok(connection) => taken.push(connection),
            Err(error) => break error,
        }
        assert!(taken.len() <= 5, "there is no end of them");
    };
    assert_eq!(sqlstate(&error), "53300");
    drop(taken.pop());
    eventually(SOON, "one is free again", async || {
        server.options().connect().await.map(drop).map_err(|error| error.to_string())
    })
    .await;
}
