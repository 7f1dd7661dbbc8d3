//! What can happen to NATS: away, frozen, slow, full, changed.

use std::time::Duration;

use nix::sys::signal::Signal;
use tests::Role;
use tests::child::send;
use tests::mix::Mix;
use tokio::time::{Instant, sleep_until};

use crate::report::Report;
use crate::scenario::{Run, Scenario};
use crate::trial::{Sign, Trial};

const WRITERS: usize = 4;
/// How soon an operator's metric says it.
const TOLD: Duration = Duration::from_secs(20);

const GATEWAY_NOT_READY: Sign = Sign {
    alert: "PenstockNotReady",
    role: Role::Gateway,
    metric: "penstock_ready",
    labels: &[],
    holds: |ready| ready == 0.0,
};

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![Scenario {
        name: "broker/frozen",
        what: "NATS stopped by SIGSTOP: its connections look healthy",
        bounded: true,
        root: false,
        run: |run| Box::pin(frozen(run)),
    }]
}

async fn frozen(mut run: Run) -> Report {
    let lasts = run.length(Duration::from_secs(12), Duration::from_secs(30));
    let mut trial = Trial::start(Mix::of_everything(), "", WRITERS, &mut run.random).await;
    let nats = trial.pipeline.run().pids.nats.expect("up runs it");
    let end = Instant::now() + lasts;
    send(nats, Signal::SIGSTOP);
    let told = trial.tells(&GATEWAY_NOT_READY, TOLD).await;
    sleep_until(end).await;
    send(nats, Signal::SIGCONT);
    let healed = trial.healed().await;
    let (report, _pipeline) = trial.end().await;
    Report { healed: Some(healed), told, ..report }
}
