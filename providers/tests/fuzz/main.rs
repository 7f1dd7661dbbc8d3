//! Requests as accidents and attackers make them, through every parser and verifier: nothing may panic, grow beyond
//! bounds, get lost, or become a record that the database refuses.
//!
//! Each target is one `#[test]`. `cargo test` gives it the stored corpora and a bounded number of random inputs; where
//! one fails, it prints the seed (`BOLERO_RANDOM_SEED=..`) that makes it again. CONTRIBUTING.md has the command for
//! hours of it.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets something else has failed"
)]

mod bombs;
mod choices;
mod corpus;
mod invariants;
mod mail_bombs;
mod mutate;
#[path = "../it/support.rs"]
mod support;
mod targets;
