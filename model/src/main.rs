//! `cargo run --release -p model -- --bound large`: goes through more than `cargo test` does, and says so as it goes.
//! Exit code 1 where something is broken, or where something that a check has to see was not there.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use model::bounds::{Bounds, SMALL, large};
use model::check::check;

/// Goes through everything that can happen to claim and judge, within bounds.
#[derive(Parser)]
struct Arguments {
    /// How much.
    #[arg(long, value_enum, default_value_t = Bound::Small)]
    bound: Bound,
    /// Only the bounds with this name, such as "windows".
    #[arg(long)]
    only: Option<String>,
    /// Another number of faults, for all of them.
    #[arg(long)]
    faults: Option<u8>,
    /// Threads; as many as there are processors where it is not said.
    #[arg(long)]
    threads: Option<usize>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Bound {
    /// What `cargo test` goes through: seconds.
    Small,
    /// One fault more in each: minutes, and some gigabytes of memory.
    Large,
}

/// How often to say how far it is.
const EVERY: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let Arguments { bound, only, faults, threads } = Arguments::parse();
    let threads = threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let all = match bound {
        Bound::Small => SMALL,
        Bound::Large => large(),
    };
    let chosen: Vec<Bounds> = all
        .into_iter()
        .filter(|bounds| only.as_ref().is_none_or(|name| *name == bounds.name))
        .map(|bounds| Bounds { faults: faults.unwrap_or(bounds.faults), ..bounds })
        .collect();
    if chosen.is_empty() {
        eprintln!("there are no bounds of that name; there are: {}", SMALL.map(|bounds| bounds.name).join(", "));
        return ExitCode::from(64);
    }
    let mut all_hold = true;
    for bounds in chosen {
        let begun = Instant::now();
        let mut said = Instant::now();
        let report = check(&bounds, threads, |states| {
            if said.elapsed() >= EVERY {
                said = Instant::now();
                println!("{}: {states} states so far", bounds.name);
            }
        });
        let word = if report.holds() { "holds" } else { "DOES NOT HOLD" };
        println!("{report}\n  faults {}, {:.1?}: {word}", bounds.faults, begun.elapsed());
        all_hold &= report.holds();
    }
    if all_hold { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
