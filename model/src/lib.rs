//! Claim and judge as a model that is gone through to the end: every order of events, every fault at every moment,
//! within stated bounds. It is a second telling of the protocol, not the product's code; what it proves is that the
//! protocol is right, and the tests of the stages that they keep to it.
//!
//! | here | stands for |
//! |---|---|
//! | [`state`] | what `CANONICAL`, `UNIQUE`, `DUPLICATES`, the tables and the hands of the workers hold |
//! | [`action`], [`choices`] | what can happen |
//! | [`step`], a dedup worker | `dedup-worker/src/decide.rs`, `stage.rs` |
//! | [`step`], a persister | `persister/src/stage.rs`, `store.rs`, `session.rs` |
//! | [`broker`] | `runtime/src/publish.rs` and the streams of `runtime/src/topology.rs`; trimming: `runtime/src/trim.rs` |
//! | [`judge`] | `persister/src/sql/keys.sql`, `judge.sql`, `messages.sql` |
//! | [`promises`] | what must hold: section "Invariants" of `ARCHITECTURE.md` |
//! | [`sights`] | what a check has to have seen on the way |
//! | [`variant`] | the protocol with one piece of its safety taken out |
//! | [`bounds`] | how many records, workers, replays and faults |
//!
//! `docs/model.md` says what is left out.

#![expect(clippy::indexing_slicing, reason = "a model that leaves its own bounds has to stop, loudly")]

pub mod action;
pub mod bounds;
pub mod broker;
pub mod check;
pub mod choices;
pub mod judge;
pub mod progress;
pub mod promises;
pub mod sights;
pub mod state;
pub mod step;
pub mod variant;
