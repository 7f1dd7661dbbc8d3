//! What an operator can ask of a running installation: one file (or folder) per command.
//!
//! Each has the same shape: `..Args` for the command line, `run` for the work, and beside it pure functions that decide
//! and word, which the tests are about. A command prints its answer on standard output, everything else on standard
//! error, and ends with 0 (clean), 1 (something to look at), 2 (`verify`: cannot be judged), 64 (command line or configuration) or 69 (cannot reach).

pub(crate) mod audit;
pub(crate) mod check;
pub(crate) mod dlq;
pub(crate) mod explain;
pub(crate) mod held;
pub(crate) mod migrate;
pub(crate) mod person;
pub(crate) mod provision;
pub(crate) mod replay;
pub(crate) mod roles;
pub(crate) mod send;
pub(crate) mod status;
pub(crate) mod verify;

pub(crate) mod error;
pub(crate) mod site;

pub(crate) mod out;

mod ask;
mod choice;
mod clock;
mod database;
mod locate;
mod recheck;
mod resend;
mod stream;
