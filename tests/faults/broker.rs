//! What can happen to NATS itself: restarted, frozen, slow, and its passwords changed. What can happen to its streams is in
//! [`crate::streams`], what fills them in [`crate::full`].

use std::time::Duration;

use nix::sys::signal::Signal;
use tests::Role;
use tests::child::send;
use tests::eventually::{ensure, eventually};
use tests::mix::Mix;
use tests::nats_server::{NatsServer, password, program_of};
use tests::proxy::{CLEAR, Proxy, Way, authority};
use tests::up::Up;
use tokio::time::{Instant, sleep, sleep_until};

use crate::report::Report;
use crate::scenario::{Run, Scenario};
use crate::sign::NOT_READY;
use crate::trial::Trial;

const WRITERS: usize = 4;
const NATS: &str = "PENSTOCK__NATS__URL";
/// How soon an operator's metric says it.
const TOLD: Duration = Duration::from_secs(20);
/// A restart of NATS and the first acknowledgement after it.
const RESTARTED: Duration = Duration::from_mins(1);

pub(crate) fn scenarios() -> Vec<Scenario> {
    let one = |name, what, run| Scenario { name, what, bounded: false, root: false, run };
    vec![
        one("broker/stopped", "NATS stopped with SIGTERM three times; `penstock up` starts it again", |run| {
            Box::pin(restarted(run, Signal::SIGTERM))
        }),
        one("broker/killed", "NATS killed with kill -9 three times; `penstock up` starts it again", |run| {
            Box::pin(restarted(run, Signal::SIGKILL))
        }),
        Scenario {
            bounded: true,
            ..one("broker/frozen", "NATS stopped by SIGSTOP: its connections look healthy", |run| Box::pin(frozen(run)))
        },
        one("broker/far", "half a second to NATS and half a second back, for every process", |run| {
            let far = Way { latency: Duration::from_millis(500), ..CLEAR };
            Box::pin(slow(run, far))
        }),
        one("broker/narrow", "256 KiB/s to NATS and back, for all processes together", |run| {
            Box::pin(slow(run, Way { rate: Some(256 * 1024), ..CLEAR }))
        }),
        Scenario {
            bounded: true,
            ..one(
                "broker/passwords-changed",
                "NATS has other passwords; the files with the new ones come later",
                |run| Box::pin(passwords_changed(run)),
            )
        },
    ]
}

async fn restarted(mut run: Run, signal: Signal) -> Report {
    let mut trial = Trial::start(Mix::of_everything(), "", WRITERS, &mut run.random).await;
    let mut longest = Duration::ZERO;
    for _ in 0..3 {
        let begun = Instant::now();
        let nats = trial.pipeline.run().pids.nats.expect("up runs it");
        send(nats, signal);
        eventually(RESTARTED, "another NATS runs", async || {
            let pids = trial.pipeline.up().run()?.pids;
            ensure(pids.nats.is_some_and(|pid| pid != nats), || "the old one".to_owned())
        })
        .await;
        trial.healed().await;
        longest = longest.max(begun.elapsed());
    }
    let (report, _pipeline) = trial.end_served().await;
    let note = "from the signal on, with the start of NATS; shorter than any alert waits".to_owned();
    Report { healed: Some(longest), note, ..report }
}

async fn frozen(mut run: Run) -> Report {
    let lasts = run.length(Duration::from_secs(12), Duration::from_secs(30));
    let mut trial = Trial::start(Mix::of_everything(), "", WRITERS, &mut run.random).await;
    let nats = trial.pipeline.run().pids.nats.expect("up runs it");
    let end = Instant::now() + lasts;
    send(nats, Signal::SIGSTOP);
    let told = trial.tells(Role::Gateway, &NOT_READY, TOLD).await;
    sleep_until(end).await;
    send(nats, Signal::SIGCONT);
    let healed = trial.healed().await;
    let (report, _pipeline) = trial.end_served().await;
    Report { healed: Some(healed), told, ..report }
}

async fn slow(mut run: Run, way: Way) -> Report {
    let mut trial = Trial::start(Mix::of_everything(), "", WRITERS, &mut run.random).await;
    let url = trial.pipeline.run().nats_url;
    let proxy = Proxy::before(authority(&url)).await;
    for role in Role::ALL {
        trial.restart_with(role, NATS, &proxy.url(&url)).await;
    }
    trial.goes_on().await;
    let before = trial.accepted();
    proxy.both(way);
    sleep(run.length(Duration::from_secs(10), Duration::from_secs(30))).await;
    let meanwhile = trial.accepted() - before;
    proxy.both(CLEAR);
    let healed = trial.healed().await;
    let (report, _pipeline) = trial.end_served().await;
    Report { healed: Some(healed), note: format!("{meanwhile} requests accepted meanwhile"), ..report }
}

/// Each role with its own user, whose password is in a file.
async fn passwords_changed(mut run: Run) -> Report {
    let up = Up::start(None, &[]).await;
    let (folder, program) = (up.folder().join("nats"), program_of(up.run().unwrap().pids.nats.expect("up runs it")));
    let mut nats = NatsServer::new(&program, &folder, "own", "max_file_store: 8GB", "");
    nats.start();
    nats.well().await;
    let mut trial = Trial::start_on(up, &nats.url(), None, Mix::of_everything(), "", WRITERS, &mut run.random).await;
    let file = |role: Role| folder.join(format!("{}.url", role.name()));
    for role in Role::ALL {
        std::fs::write(file(role), nats.url_of(role.name(), &password(role.name()))).unwrap();
        trial.restart_with(role, NATS, &format!("{{ file = \"{}\" }}", file(role).display())).await;
    }
    trial.goes_on().await;
    for role in Role::ALL {
        nats.set_password(role.name(), "pnew");
    }
    nats.signal(Signal::SIGHUP);
    let told = trial.tells(Role::Gateway, &NOT_READY, TOLD).await;
    let before = trial.accepted();
    sleep(run.length(Duration::from_secs(5), Duration::from_secs(20))).await;
    assert_eq!(trial.accepted(), before, "with the old passwords nothing is stored");
    let begun = Instant::now();
    for role in Role::ALL {
        std::fs::write(file(role), nats.url_of(role.name(), "pnew")).unwrap();
    }
    trial.healed().await;
    let healed = begun.elapsed();
    let (report, _pipeline) = trial.end_served().await;
    let note = "a person puts the new passwords into the files; no restart".to_owned();
    Report { healed: Some(healed), told, note, ..report }
}
