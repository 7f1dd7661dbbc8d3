//! The versions that everything here was seen with. Another one is a failure and not a warning: what is asserted was
//! seen, and whether it holds is known only after it has been seen again.

use tests::servers::{NatsServer, postgres};

/// nats-server, exactly: its patches have changed what is asserted here. The first one is the oldest that is used at all.
const NATS: [&str; 3] = ["2.14.4", "2.15.0", "2.15.1"];
/// PostgreSQL, by major version: its minor versions change no behaviour, only faults.
const POSTGRES: [i64; 3] = [15, 16, 18];

/// Rests on it: `runtime/src/properties.rs` (`OLDEST_SERVER`).
#[tokio::test]
async fn the_nats_server_is_one_that_all_of_this_was_seen_with() {
    let found = NatsServer::start().await.connect().await.client.server_info().version;
    println!("nats-server {found}");
    assert!(
        NATS.contains(&found.as_str()),
        "nats-server {found} is not known, only {NATS:?} are: run `cargo test -p tests --test servers` with it, read \
         what fails and the files that each failing test names, then add the version here and in docs/servers.md"
    );
}

/// Rests on it: `persister/src/schema.rs` (`OLDEST_SERVER`).
#[tokio::test]
async fn the_postgresql_is_one_that_all_of_this_was_seen_with() {
    let mut connection = postgres::connect(&postgres::database().await).await;
    let found = postgres::number(&mut connection, "SELECT current_setting('server_version_num')::bigint / 10000").await;
    println!("PostgreSQL {found}");
    assert!(
        POSTGRES.contains(&found),
        "PostgreSQL {found} is not known, only {POSTGRES:?} are: run `cargo test -p tests --test servers` with it, read \
         what fails and the files that each failing test names, then add the version here and in docs/servers.md"
    );
}
