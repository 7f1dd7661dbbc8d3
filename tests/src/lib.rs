//! The harness: Penstock as its users see it, with real binaries, a private nats-server and a private PostgreSQL.
//!
//! Read [`pipeline`] first; the rest are its tools. Nothing here uses a crate of a stage: what a test expects is written
//! from the contract, signatures included, so a mistake in the product cannot hide in its own code.
//!
//! What a reader would get wrong: nothing sleeps to let something happen. Whatever can be asked is polled
//! ([`mod@eventually`]), with a deadline and words for what was awaited.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a test fails by panicking, its harness too"
)]

pub mod binary;
pub mod broker;
pub mod child;
pub mod client;
pub mod config;
pub mod database;
pub mod eventually;
pub mod floods;
pub mod ledger;
pub mod load;
pub mod memory;
pub mod mix;
pub mod namespace;
pub mod nats_cluster;
pub mod nats_server;
pub mod pipeline;
pub mod ports;
pub mod proxy;
pub mod random;
pub mod raw_http;
pub mod raw_http2;
pub mod role;
pub mod run_file;
pub mod s3;
pub mod scrape;
pub mod servers;
pub mod sign;
pub mod sns;
pub mod time;
pub mod up;

pub use client::{Answer, Request};
pub use eventually::eventually;
pub use pipeline::Pipeline;
pub use role::Role;
