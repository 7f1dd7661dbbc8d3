//! What an honest client notices of an attack: its latency while the gateway is left alone and while it is attacked, in
//! turn, and the gateway's memory against its bound. `cargo bench -p tests --bench attacks`; `--help` says more.
//!
//! It is no test: a figure of a shared machine must fail nobody's build. Exit code 1 where an honest request was refused,
//! where the 99th percentile under attack is more than twice the quiet one, or where memory is above the bound.
//!
//! The attackers are one process at the lowest priority, at a stated rate: attackers that take the processors from the
//! gateway on the same machine would measure the scheduler. They come from addresses of their own (`127.0.0.2` to `.5`),
//! so that what is per address holds for them as in earnest; nobody is a trusted proxy.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for developers: it fails by panicking, and tells what it does"
)]

mod arguments;
mod attackers;
mod attacks;
mod honest;
mod process;
mod report;

use std::process::ExitCode;
use std::time::Duration;

use tests::{Pipeline, Role, config};

use crate::arguments::{Arguments, Task};
use crate::attackers::Attackers;
use crate::attacks::Attack;
use crate::honest::Latencies;
use crate::report::Row;

/// An address may send more than by default, so that the honest client can be looked at often enough; so may each
/// attacker's. Everything else is the default.
const SETTINGS: &str = r#"
[gateway]
limits = { address = { per_second = 100, burst = 200 } }

[dedup]
hash_key = { value = "for this run only" }

[streams]
raw = "1 GiB"
bodies = "256 MiB"
held = "64 MiB"
replay = "64 MiB"
canonical = "64 MiB"
unique = "64 MiB"
duplicates = "64 MiB"
dlq = "64 MiB"
"#;

/// Not measured.
const WARM_UP: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let task = match Task::read(std::env::args().skip(1)) {
        Ok(task) => task,
        Err(answer) => return answer,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    match task {
        Task::Attack { name, url } => runtime.block_on(attacks::run(&name, &url)),
        Task::Measure(arguments) => runtime.block_on(measure(&arguments)),
    }
}

async fn measure(arguments: &Arguments) -> ExitCode {
    let attacks: Vec<Attack> =
        attacks::all().into_iter().filter(|attack| attack.name.contains(&arguments.only)).collect();
    if attacks.is_empty() {
        eprintln!("no attack is called {:?}", arguments.only);
        return ExitCode::from(64);
    }
    let text = config::with(SETTINGS, [config::signed("orders")]);
    let mut pipeline = Pipeline::by_hand(&text, &[Role::Gateway]).await;
    // Only the gateway runs: what it stores goes no further.
    pipeline.may_be_unsettled();
    println!("{}", report::HEAD);
    let mut passed = true;
    for attack in &attacks {
        let row = under(attack, &mut pipeline, arguments).await;
        println!("{row}");
        passed &= row.passes();
    }
    if passed { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

/// Quiet and attacked in turn, so that both see the same machine. Each attack has a gateway that was just started: its
/// memory has seen no other.
async fn under(attack: &Attack, pipeline: &mut Pipeline, arguments: &Arguments) -> Row {
    let gateway = pipeline.role(Role::Gateway);
    gateway.kill();
    gateway.start_again();
    gateway.ready().await;
    let (url, pid) = (&gateway.url(), gateway.child().pid());
    honest::ask(url, WARM_UP).await;
    let mut row = Row::of(attack.name, arguments.rounds);
    for _ in 0..arguments.rounds {
        let begun = process::Usage::of(pid);
        row.quiet.add(honest::ask(url, arguments.phase).await);
        row.cpu_quiet += begun.since(&process::Usage::of(pid));

        let attackers = Attackers::start(attack.name, url).await;
        let begun = process::Usage::of(pid);
        let seen: Latencies = honest::ask(url, arguments.phase).await;
        row.cpu_attacked += begun.since(&process::Usage::of(pid));
        row.attacked.add(seen);
        row.events += attackers.end();
        // What they leave behind is cleared away before it is called quiet again.
        tokio::time::sleep(attackers::SETTLE).await;
    }
    row.lasted = arguments.phase * arguments.rounds;
    row.memory = tests::child::most_resident(pid);
    row
}
