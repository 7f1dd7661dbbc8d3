//! `kill -9` at random moments, over all processes, the two servers included.

use std::time::Duration;

use nix::sys::signal::Signal;
use tests::child::send;
use tests::mix::Mix;
use tests::{Role, eventually};
use tokio::time::sleep;

use crate::report::Report;
use crate::scenario::{Run, Scenario};
use crate::trial::Trial;

const WRITERS: usize = 4;
/// How long a server may take to be started again.
const COMES_BACK: Duration = Duration::from_mins(1);

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![Scenario {
        name: "processes/random-kills",
        what: "kill -9 of any role, of NATS and of PostgreSQL at random moments, and of all roles at one",
        bounded: true,
        root: false,
        run: |run| Box::pin(random_kills(run)),
    }]
}

async fn random_kills(mut run: Run) -> Report {
    let kills = run.length(16, 200);
    let random = &mut run.random;
    let mut trial = Trial::start(Mix::of_everything(), "", WRITERS, random).await;
    for kill in 0..kills {
        sleep(Duration::from_millis(random.below(700))).await;
        let victim = random.below(6);
        match victim {
            4 | 5 => {
                let server = eventually(COMES_BACK, "the server runs", async || {
                    let pids = trial.pipeline.up().run()?.pids;
                    let server = if victim == 4 { pids.nats } else { pids.postgres };
                    server.ok_or_else(|| "it is being started".to_owned())
                })
                .await;
                send(server, Signal::SIGKILL);
            }
            role => {
                let process = trial.pipeline.role(Role::ALL[usize::try_from(role).unwrap()]);
                process.kill();
                sleep(Duration::from_millis(random.below(300))).await;
                process.start_again();
            }
        }
        // Not after every kill: some have to hit what has not come back from the one before.
        if random.below(3) == 0 {
            trial.goes_on().await;
        }
        if run.full && kill % 20 == 19 {
            println!("  {} of {kills} kills, {} requests accepted", kill + 1, trial.accepted());
        }
    }
    for process in trial.pipeline.role_list() {
        process.kill();
    }
    for process in trial.pipeline.role_list() {
        process.start_again();
    }
    let healed = trial.healed().await;
    let (report, _pipeline) = trial.end().await;
    Report { healed: Some(healed), note: format!("{kills} kills, and one of all roles at once"), ..report }
}
