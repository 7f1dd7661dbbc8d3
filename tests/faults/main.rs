//! The proof that nothing accepted is lost and nothing is there twice, whatever happens to the processes, the servers,
//! the network and the clock: every fault under load, with a ledger that is exact to the message.
//!
//! `cargo test --workspace` runs a bounded version of it. `cargo test --release -p tests --test faults -- --full` runs
//! all of it and prints the seed with which it can be run again; `--help` says more. A fault that needs root says so
//! where it cannot run.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a proof fails by panicking, its helpers too, and tells what it does"
)]

mod alerts;
mod arguments;
mod bounded;
mod broker;
mod clock;
mod cluster;
mod configuration;
mod controls;
mod failover;
mod forwarder;
mod full;
mod kill_points;
mod kills;
mod memory;
mod memory_limit;
mod network;
mod postgres;
mod postgres_server;
mod processes;
mod report;
mod runner;
mod scenario;
mod sign;
mod slow_clients;
mod small_disk;
mod streams;
mod trial;
mod upgrade;

use std::process::ExitCode;

use scenario::Scenario;

/// Everything there is, in the order in which it is run.
fn scenarios() -> Vec<Scenario> {
    let areas = [
        controls::scenarios,
        kill_points::scenarios,
        kills::scenarios,
        processes::scenarios,
        broker::scenarios,
        streams::scenarios,
        full::scenarios,
        cluster::scenarios,
        network::scenarios,
        postgres::scenarios,
        failover::scenarios,
        clock::scenarios,
        upgrade::scenarios,
        configuration::scenarios,
        bounded::scenarios,
    ];
    areas.iter().flat_map(|scenarios| scenarios()).collect()
}

fn main() -> ExitCode {
    match arguments::Arguments::read(std::env::args().skip(1)) {
        Ok(arguments) => runner::run(&scenarios(), &arguments),
        Err(answer) => answer,
    }
}
