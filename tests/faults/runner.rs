//! Runs scenarios, tells how each ended, and ends with a code that says whether all promises held.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tests::random::Random;

use crate::alerts;
use crate::arguments::{Arguments, WRONG};
use crate::report::Report;
use crate::scenario::{Run, Scenario};
use crate::sign;

pub(crate) fn run(scenarios: &[Scenario], arguments: &Arguments) -> ExitCode {
    alerts::controls();
    sign::all_are_covered();
    let names: Vec<&str> = scenarios.iter().map(|scenario| scenario.name).collect();
    let mut strays = false;
    for filter in arguments.filters.iter().filter(|filter| !names.iter().any(|name| name.contains(filter.as_str()))) {
        println!("no scenario has {filter:?} in its name; near it are {}", nearest(filter, &names).join(", "));
        strays = true;
    }
    if strays && arguments.is_ours() {
        return ExitCode::from(WRONG);
    }
    let chosen: Vec<&Scenario> = scenarios.iter().filter(|scenario| is_meant(scenario, arguments)).collect();
    if chosen.is_empty() {
        return ExitCode::SUCCESS;
    }
    if arguments.list {
        for scenario in chosen {
            let marks = [(scenario.bounded, "bounded"), (scenario.root, "root")];
            let marks: Vec<&str> = marks.iter().filter(|(holds, _)| *holds).map(|(_, word)| *word).collect();
            println!("{:36} {} {}", scenario.name, scenario.what, marks.join(", "));
        }
        return ExitCode::SUCCESS;
    }
    let seed = arguments.seed.unwrap_or_else(|| Random::seeded("faults").bits() >> 32);
    println!("\n{} scenarios; seed {seed} (again with --seed {seed})", chosen.len());
    let results = all(&chosen, arguments, seed);
    let failed: Vec<&str> = results.iter().filter(|(_, result)| result.is_err()).map(|(one, _)| one.name).collect();
    if let Some(file) = &arguments.table {
        std::fs::write(file, table(&results)).expect("the table is written");
    }
    println!("\n{} of {} scenarios kept every promise", results.len() - failed.len(), results.len());
    if failed.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("failed, seed {seed}: {}", failed.join(", "));
    ExitCode::FAILURE
}

fn is_meant(scenario: &Scenario, arguments: &Arguments) -> bool {
    if arguments.filters.is_empty() {
        scenario.bounded || arguments.full || arguments.list
    } else {
        arguments.filters.iter().any(|filter| scenario.name.contains(filter.as_str()))
    }
}

/// The three names that have most pairs of letters in common with it.
fn nearest<'a>(filter: &str, names: &[&'a str]) -> Vec<&'a str> {
    let pairs: BTreeSet<&[u8]> = filter.as_bytes().windows(2).collect();
    let mut names = names.to_vec();
    names.sort_by_cached_key(|name| {
        let of_name: BTreeSet<&[u8]> = name.as_bytes().windows(2).collect();
        Reverse(of_name.intersection(&pairs).count())
    });
    names.truncate(3);
    names
}

/// Runs them, so many at a time, in the order in which they were chosen; tells of each when it has ended.
fn all<'a>(chosen: &[&'a Scenario], arguments: &Arguments, seed: u64) -> Vec<(&'a Scenario, Result<Report, String>)> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..arguments.jobs() {
            scope.spawn(|| {
                while let Some(scenario) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
                    println!("\n{}: {}", scenario.name, scenario.what);
                    let begun = Instant::now();
                    let result =
                        one(scenario, &Run { full: arguments.full, random: Random::named(seed, scenario.name) });
                    let took = begun.elapsed().as_secs_f64();
                    match &result {
                        Ok(report) => println!("\n{} ok in {took:.1} s: {report}", scenario.name),
                        Err(why) => println!("\n{} FAILED in {took:.1} s: {why}", scenario.name),
                    }
                    results.lock().expect("nobody fails with it").push((*scenario, result));
                }
            });
        }
    });
    let mut results = results.into_inner().expect("nobody fails with it");
    results.sort_by_key(|(scenario, _)| chosen.iter().position(|one| one.name == scenario.name));
    results
}

fn one(scenario: &Scenario, run: &Run) -> Result<Report, String> {
    if scenario.root && !nix::unistd::geteuid().is_root() {
        return Err("it needs root: run it as root, or leave it out by naming others".to_owned());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads");
    // A panic is a promise that was broken: it is told as the scenario's result, and the next one runs.
    let running = AssertUnwindSafe(|| runtime.block_on((scenario.run)(run.clone())));
    catch_unwind(running).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
    })
}

fn table(results: &[(&Scenario, Result<Report, String>)]) -> String {
    let mut table =
        "| fault | what the sender saw | lost | twice | healed in | told by | |\n|---|---|---|---|---|---|---|\n"
            .to_owned();
    for (scenario, result) in results {
        let cells = match result {
            Ok(report) => report.cells().join(" | "),
            Err(why) => format!("FAILED: {} | | | | |", why.lines().next().unwrap_or_default()),
        };
        writeln!(table, "| `{}` | {cells} |", scenario.name).expect("a text can be written to");
    }
    table
}
