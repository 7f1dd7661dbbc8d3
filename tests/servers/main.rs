//! What the product believes of NATS and PostgreSQL, asked of the servers themselves, without any role of Penstock: an
//! upgrade that changes one of these fails here first, and says what rests on it.
//!
//! Every test names, in the first line of its comment, the experiment it repeats (X) where there was one, and the files
//! that rest on it; `docs/servers.md` is the table of all of them, and `documented` holds the two together. A test
//! that goes red is no test to be mended: the files it names have to be read first.
//!
//! What needs root or a tool that is not everywhere is a program of its own: `cargo run -p tests --bin servers_with_root`.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, its helpers too"
)]

mod documented;
mod versions;

mod nats_api;
mod nats_batches;
mod nats_claims;
mod nats_cluster;
mod nats_consumers;
mod nats_crashes;
mod nats_headers;
mod nats_limits;
mod nats_message_ids;
mod nats_pulls;
mod nats_purges;
mod nats_redelivery;
mod nats_users;

mod postgres_keys;
mod postgres_locks;
mod postgres_partitions;
mod postgres_server;
mod postgres_sessions;
mod postgres_statements;
mod postgres_values;
