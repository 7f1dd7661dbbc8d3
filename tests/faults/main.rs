//! The proof that nothing accepted is lost and nothing is there twice, whatever happens to the processes, the servers,
//! the network and the clock: every fault under load, with a ledger that is exact to the message.
//!
//! `cargo test` runs a bounded version of it. `cargo test --release --test faults -- --full` runs all of it, and prints
//! the seed with which it can be run again; `--help` says more. A fault that needs root says so where it cannot run.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a proof fails by panicking, its helpers too, and tells what it does"
)]

mod arguments;
mod broker;
mod cluster;
mod controls;
mod full;
mod kill_points;
mod kills;
mod network;
mod report;
mod runner;
mod scenario;
mod streams;
mod trial;

use std::process::ExitCode;

use scenario::Scenario;

/// Everything there is, in the order in which it is run.
fn scenarios() -> Vec<Scenario> {
    let areas = [
        controls::scenarios,
        kill_points::scenarios,
        kills::scenarios,
        broker::scenarios,
        streams::scenarios,
        full::scenarios,
        cluster::scenarios,
        network::scenarios,
    ];
    areas.iter().flat_map(|scenarios| scenarios()).collect()
}

fn main() -> ExitCode {
    match arguments::Arguments::read(std::env::args().skip(1)) {
        Ok(arguments) => runner::run(&scenarios(), &arguments),
        Err(answer) => answer,
    }
}
