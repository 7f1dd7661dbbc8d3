//! The two servers Penstock stands on: finding them, fetching them, and running private ones.
//!
//! What a reader would get wrong: nothing in here supervises. A server is described ([`nats::NatsServer`],
//! [`postgres::PostgresServer`]) as a command to start and a question whether it is ready; who starts it, watches it
//! and stops it is `up`. Read [`find`] and [`fetch`] for where the binaries come from, [`nats`] and [`postgres`] for
//! how they are run.

pub(crate) mod account;
pub(crate) mod cache;
pub(crate) mod console;
pub(crate) mod fetch;
pub(crate) mod files;
pub(crate) mod find;
pub(crate) mod nats;
pub(crate) mod pid_file;
pub(crate) mod ports;
pub(crate) mod postgres;
pub(crate) mod postgres_data;
pub(crate) mod version;
pub(crate) mod wheels;

use std::collections::BTreeMap;

/// The environment variables of this process, read once by `main` and handed down.
pub(crate) type Env = BTreeMap<String, String>;

/// A server could not be found, fetched, prepared or started. Exit code 69.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServerError {
    /// Nothing usable is installed and fetching did not work either.
    #[error("{server} could not be fetched; {advice}")]
    Fetch {
        server: &'static str,
        advice: String,
        #[source]
        source: fetch::FetchError,
    },
    /// PostgreSQL refuses to run as root, and there is no account to run it as.
    #[error("{0}")]
    Account(#[from] account::AccountError),
    /// The database's files could not be prepared.
    #[error("PostgreSQL could not be prepared")]
    Postgres(#[from] postgres::PostgresError),
    /// A file that the server needs could not be written.
    #[error("{path} could not be written; check who owns it and whether the disk is full")]
    Write {
        path: String,
        #[source]
        source: std::io::Error,
    },
    /// Every port that was tried was taken.
    #[error("no free port on 127.0.0.1")]
    Port(#[source] std::io::Error),
}
