//! Memory while others misbehave or are away, and how fast what has gathered is worked off afterwards.

use std::time::Duration;

use nix::sys::signal::Signal;
use tests::Role;
use tests::child::send;
use tests::mix::{Kind, Mix};
use tokio::time::{Instant, sleep, sleep_until};

use crate::memory::Memory;
use crate::report::Report;
use crate::scenario::{Run, Scenario};
use crate::sign::{BACKLOG_OLD, NOT_READY};
use crate::slow_clients::SlowClients;
use crate::trial::Trial;

const TOLD: Duration = Duration::from_secs(30);
/// Longest wait for a backlog to be worked off.
const DRAINED: Duration = Duration::from_mins(10);

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "bounded/slow-clients",
            what: "10,000 clients that send a byte a second or read nothing (2,000 in the bounded run)",
            bounded: true,
            root: false,
            run: |run| Box::pin(slow_clients(run)),
        },
        Scenario {
            name: "bounded/large-bodies",
            what: "bodies of the largest size from 200 connections",
            bounded: false,
            root: false,
            run: |run| Box::pin(large_bodies(run)),
        },
        Scenario {
            name: "bounded/broker-away",
            what: "NATS killed and kept away for five minutes",
            bounded: false,
            root: false,
            run: |run| Box::pin(broker_away(run)),
        },
        Scenario {
            name: "bounded/database-away",
            what: "PostgreSQL killed and kept away for ten minutes (20 s in the bounded run); then the backlog",
            bounded: true,
            root: false,
            run: |run| Box::pin(database_away(run)),
        },
    ]
}

async fn slow_clients(mut run: Run) -> Report {
    let (clients, lasts) = run.length((2_000, Duration::from_secs(12)), (10_000, Duration::from_mins(2)));
    let mut trial = Trial::start(Mix::of_everything(), "", 4, &mut run.random).await;
    let memory = Memory::watch(&mut trial.pipeline);
    let slow = SlowClients::start(&trial.pipeline.gateways()[0], clients);
    sleep(lasts).await;
    trial.goes_on().await;
    let connected = slow.connected();
    assert!(connected > clients / 2, "of {clients} slow clients only {connected} hold a connection");
    let note = format!("{connected} connected at the end; {}", memory.within_bounds().await);
    drop(slow);
    let healed = trial.healed().await;
    let (report, _pipeline) = trial.end().await;
    Report { healed: Some(healed), note, ..report }
}

async fn large_bodies(mut run: Run) -> Report {
    let lasts = run.length(Duration::from_secs(10), Duration::from_secs(30));
    let mut trial = Trial::start(Mix::only(Kind::Large), "", 200, &mut run.random).await;
    let memory = Memory::watch(&mut trial.pipeline);
    sleep(lasts).await;
    trial.goes_on().await;
    let note = memory.within_bounds().await;
    let (report, _pipeline) = trial.end().await;
    Report { note, ..report }
}

async fn broker_away(mut run: Run) -> Report {
    let lasts = run.length(Duration::from_secs(20), Duration::from_mins(5));
    let mut trial = Trial::start(Mix::of_everything(), "", 16, &mut run.random).await;
    let memory = Memory::watch(&mut trial.pipeline);
    let pids = trial.pipeline.run().pids;
    let away = Away::keep(pids.up, pids.nats.expect("up runs it"));
    let told = trial.tells(Role::Gateway, &NOT_READY, TOLD).await;
    sleep(lasts).await;
    let note = memory.within_bounds().await;
    away.end();
    let healed = trial.healed().await;
    let (report, _pipeline) = trial.end().await;
    Report { healed: Some(healed), told, note, ..report }
}

async fn database_away(mut run: Run) -> Report {
    let lasts = run.length(Duration::from_secs(20), Duration::from_mins(10));
    // Every message small, so that what is measured is the pipeline and not the writers.
    let mut trial = Trial::start(Mix::only(Kind::Webhook), "", 4, &mut run.random).await;
    let memory = Memory::watch(&mut trial.pipeline);
    let arrives = rate(&trial, Duration::from_secs(5)).await;
    let pids = trial.pipeline.run().pids;
    let end = Instant::now() + lasts;
    let away = Away::keep(pids.up, pids.postgres.expect("up runs it"));
    // A bounded run is over before the backlog is old.
    let sign = run.length(NOT_READY, BACKLOG_OLD);
    let told = trial.tells(Role::Persister, &sign, lasts.max(TOLD)).await;
    sleep_until(end).await;
    let note = memory.within_bounds().await;
    away.end();
    let healed = trial.healed().await;
    let (records, took) = worked_off(&trial).await;
    let drains = records / took.as_secs_f64();
    assert!(
        arrives > 0.0 && drains >= 2.0 * arrives,
        "{arrives:.0} records arrive each second, and only {drains:.0} are worked off"
    );
    let (report, _pipeline) = trial.end().await;
    let note = format!("{note}; {drains:.0} records/s worked off while {arrives:.0} arrive");
    Report { healed: Some(healed), told, note, ..report }
}

/// A server that was killed, and whose keeper is stopped so that it is not started again.
struct Away(i32);

impl Away {
    fn keep(keeper: i32, server: i32) -> Self {
        send(keeper, Signal::SIGSTOP);
        send(server, Signal::SIGKILL);
        Self(keeper)
    }

    fn end(self) {
        drop(self);
    }
}

impl Drop for Away {
    fn drop(&mut self) {
        send(self.0, Signal::SIGCONT);
    }
}

/// Records that have ended.
async fn ended(trial: &Trial) -> f64 {
    trial.counter(Role::Persister, "penstock_persister_messages_total").await
}

async fn rate(trial: &Trial, over: Duration) -> f64 {
    let (before, begun) = (ended(trial).await, Instant::now());
    sleep(over).await;
    (ended(trial).await - before) / begun.elapsed().as_secs_f64()
}

/// How many records ended until next to nothing waited, and in which time.
async fn worked_off(trial: &Trial) -> (f64, Duration) {
    let (before, begun) = (ended(trial).await, Instant::now());
    loop {
        let waiting = trial.pipeline.broker.waiting("UNIQUE", "persister").await.unwrap();
        if waiting < 100 {
            return (ended(trial).await - before, begun.elapsed());
        }
        assert!(begun.elapsed() < DRAINED, "{waiting} records still wait after {DRAINED:?}");
        sleep(Duration::from_millis(100)).await;
    }
}
