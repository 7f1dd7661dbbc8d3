//! What every process shares, and nothing about messages.
//!
//! Read in this order: [`process`] is what happens around a role's own work; [`config`], [`telemetry`], [`health`],
//! [`admin`], [`signals`] and [`tasks`] are its parts. [`nats`], [`topology`], [`provision`], [`stream_info`] and [`stream_watch`] are
//! the broker; [`publish`], [`group_commit`],
//! [`bodies`] and [`counters`] go out to it; [`feed`], [`delivery`] and [`worker`] come in from it; [`trim`]
//! and [`backlog`] keep watch over it. [`objects`] are files, beside all that, [`open_files`] how many may be open, and
//! [`core_dumps`] those that are never written.

pub mod process;

pub mod admin;
pub mod config;
pub mod health;
pub mod http_server;
pub mod panics;
pub mod signals;
pub mod tasks;
pub mod telemetry;

pub mod kill_point;
pub mod nats;
mod properties;
pub mod provision;
pub mod stream_info;
pub mod stream_watch;
pub mod topology;

pub mod bodies;
pub mod counters;
pub mod group_commit;
pub mod publish;

pub mod delivery;
pub mod feed;
pub mod worker;

pub mod backlog;
pub mod trim;
pub mod trimmer;

pub mod core_dumps;
pub mod objects;
pub mod open_files;

pub mod backoff;
pub mod clock;
pub mod error_chain;
