//! The system as its users see it: one module for each promise. All of them share one binary, since linking costs more
//! than running, and those that break nothing share one running system ([`shared`]).

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, its helpers too"
)]

mod shared;

mod admin;
mod audit;
mod canary;
mod cloudevents;
mod configuration;
mod duplicates;
mod erasing;
mod files;
mod fleet;
mod groups;
mod headers;
mod held;
mod hostile_bodies;
mod hostile_heads;
mod hostile_http;
mod hostile_http2;
mod journey;
mod keys;
mod limits;
mod mail;
mod naughty;
mod operator;
mod outages;
mod poison;
mod pressure;
mod providers;
mod reload;
mod replay;
mod retention;
mod sendgrid_mailgun;
mod servers_over_tls;
mod shutdown;
mod sns;
mod statuses;
mod streams;
mod text;
mod tls;
mod trimming;
mod users;
mod verify;
