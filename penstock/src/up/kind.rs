//! The kinds of process that `up` runs, and how each is asked to end.
//!
//! PostgreSQL's signals differ from everybody else's: SIGTERM waits for its clients to leave by themselves, SIGINT ends
//! their sessions and closes the files properly, SIGQUIT leaves the rest to recovery. Killing it outright may leave
//! sessions behind that keep the next one from starting.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

/// What a child is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Role,
    Nats,
    Postgres,
}

/// A role gives itself 25 s to finish what it has in hand.
const OTHERS: [(Signal, Duration); 2] =
    [(Signal::SIGTERM, Duration::from_secs(30)), (Signal::SIGKILL, Duration::from_secs(5))];
const POSTGRES: [(Signal, Duration); 3] = [
    (Signal::SIGINT, Duration::from_secs(30)),
    (Signal::SIGQUIT, Duration::from_secs(10)),
    (Signal::SIGKILL, Duration::from_secs(5)),
];

impl Kind {
    /// Signals to send one after the other, each with how long to wait for the end.
    pub(crate) const fn ending(self) -> &'static [(Signal, Duration)] {
        match self {
            Self::Role | Self::Nats => &OTHERS,
            Self::Postgres => &POSTGRES,
        }
    }

    /// For a user who does not want to wait: what ends it now.
    pub(crate) const fn now(self) -> Signal {
        match self {
            Self::Role | Self::Nats => Signal::SIGKILL,
            Self::Postgres => Signal::SIGQUIT,
        }
    }
}
