//! Every role killed between any two of its steps, again and again, while messages of every kind come in.
//!
//! A place that is not come to fails the scenario: a kill that never happens proves nothing.

use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use nix::sys::signal::Signal;
use tests::mix::Mix;
use tests::random::Random;
use tests::{Role, binary, eventually};

use crate::report::Report;
use crate::scenario::{Run, Scenario};
use crate::trial::Trial;

/// How long a place may take to be come to: trimming looks every 15 seconds.
const REACHED: Duration = Duration::from_secs(90);
const WRITERS: usize = 4;

/// A place in a role, and how often it may be passed before it is the end.
type Place = (Role, &'static str, u64);

const PUBLISH: [(&str, u64); 3] = [("publish.ready", 30), ("publish.sent", 30), ("publish.stored", 30)];
const WORKER: [(&str, u64); 4] =
    [("worker.taken", 4), ("worker.processed", 4), ("worker.answered-one", 20), ("worker.settled", 4)];

/// Where each role can be killed, with publishes one by one.
fn places() -> Vec<Place> {
    use Role::{Dedup, Gateway, Normalizer, Persister};
    let mut places: Vec<Place> = vec![
        (Gateway, "gateway.admitted", 8),
        (Gateway, "gateway.stored", 8),
        (Gateway, "body.stored", 1),
        (Normalizer, "normalizer.read", 4),
        (Normalizer, "normalizer.files-stored", 4),
        (Normalizer, "normalizer.records-stored", 4),
        (Normalizer, "normalizer.letters-stored", 4),
        (Normalizer, "body.stored", 1),
        (Dedup, "dedup.claimed", 4),
        (Dedup, "dedup.passed-on", 4),
        (Dedup, "body.stored", 1),
        (Dedup, "trim.planned", 0),
        (Dedup, "trim.purged", 0),
        (Persister, "persister.begun", 4),
        (Persister, "persister.locked", 4),
        (Persister, "persister.judged", 4),
        (Persister, "persister.written", 4),
        (Persister, "persister.committed", 4),
        (Persister, "persister.letters-recorded", 1),
        (Persister, "trim.planned", 0),
        (Persister, "trim.purged", 0),
    ];
    for role in [Gateway, Normalizer, Dedup] {
        places.extend(PUBLISH.map(|(place, most)| (role, place, most)));
    }
    for role in [Normalizer, Dedup, Persister] {
        places.extend(WORKER.map(|(place, most)| (role, place, most)));
    }
    places
}

/// Where the two that publish batches can be killed.
fn places_of_groups() -> Vec<Place> {
    let roles = [Role::Gateway, Role::Normalizer];
    roles.into_iter().flat_map(|role| [(role, "group.open", 4), (role, "group.stored", 4)]).collect()
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "processes/kill-points",
            what: "every role killed before and after every publish, commit and acknowledgement",
            bounded: true,
            root: false,
            run: |run| Box::pin(one_by_one(run)),
        },
        Scenario {
            name: "processes/kill-points-of-groups",
            what: "gateway and normalizer killed in the middle of an atomic batch and after it",
            bounded: true,
            root: false,
            run: |run| Box::pin(groups(run)),
        },
    ]
}

async fn one_by_one(run: Run) -> Report {
    killed_at(run, places(), "").await
}

async fn groups(run: Run) -> Report {
    killed_at(run, places_of_groups(), "nats.group_commit = \"on\"").await
}

/// Every round has a system of its own: the bodies of all of them together would not fit into one.
async fn killed_at(mut run: Run, places: Vec<Place>, settings: &str) -> Report {
    let rounds = run.length(1, 20);
    let random = &mut run.random;
    let (mut kills, mut accepted, mut healed, mut seen) = (0, 0, Duration::ZERO, Report::default());
    for round in 1..=rounds {
        let program = binary::penstock_with_kill_points();
        let mut trial = Trial::start_as(Some(program), Mix::of_few_large_ones(), settings, WRITERS, random).await;
        let mut order = places.clone();
        random.shuffle(&mut order);
        for (role, place, most) in order {
            kill(&mut trial, role, place, most, random).await;
            kills += 1;
        }
        healed = healed.max(trial.healed().await);
        let (findings, deliveries, _pipeline) = trial.judge().await;
        findings.assert_exact();
        accepted += findings.accepted;
        seen = Report::of(&deliveries);
        if rounds > 1 {
            println!("  round {round} of {rounds}: {kills} kills, {accepted} messages accepted, none lost, none twice");
        }
    }
    let note = format!(
        "{kills} kills at {} places; {accepted} messages accepted; the first column: the last of {rounds} rounds",
        places.len()
    );
    Report { healed: Some(healed), note, ..seen }
}

/// Starts a role anew so that it dies at `place`, waits until it has, and starts it again.
async fn kill(trial: &mut Trial, role: Role, place: &str, most: u64, random: &mut Random) {
    let passed = random.below(most + 1);
    let armed = if passed == 0 { format!("{place}=return") } else { format!("{place}={passed}*off->return") };
    let process = trial.pipeline.role(role);
    process.set("FAILPOINTS", Some(&armed));
    process.kill();
    process.start_again();
    let what = format!("the {} dies at {place}, passed {passed} times", role.name());
    let status = eventually(REACHED, &what, async || process.child().exited().ok_or("it lives")).await;
    assert_eq!(status.signal(), Some(Signal::SIGABRT as i32), "{what}: {status}\n{}", process.child().tail());
    process.set("FAILPOINTS", None);
    process.kill();
    process.start_again();
    trial.goes_on().await;
}
