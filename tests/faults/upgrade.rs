//! Two versions at once: the one before this beside it, role by role in the order of the upgrade and back; and a
//! normalizer that writes a newer shape than the persisters know, which is what the wrong order comes to.
//!
//! Both are built from this repository, so this takes its history and some minutes.

use std::time::Duration;

use tests::mix::Mix;
use tests::{Role, binary, eventually};

use crate::report::Report;
use crate::scenario::{Run, Scenario};
use crate::sign::BACKLOG_OLD;
use crate::trial::Trial;

const WRITERS: usize = 4;
const STOP: Duration = Duration::from_secs(40);
/// The order that ARCHITECTURE.md tells.
const ORDER: [Role; 4] = [Role::Persister, Role::Dedup, Role::Normalizer, Role::Gateway];
/// The alert is for what has waited for two minutes.
const WAITED: Duration = Duration::from_secs(150);

/// Rows of the last ten seconds.
const LATE: &str = "SELECT count(*) FROM messages WHERE stored_at > now() - interval '10 seconds'";

pub(crate) fn scenarios() -> Vec<Scenario> {
    let scenario = |name, what, run| Scenario { name, what, bounded: false, root: false, run };
    vec![
        scenario("upgrade/rolling", "from the version before this to this, and back, role by role", |run| {
            Box::pin(rolling(run))
        }),
        scenario("upgrade/newer-records", "a normalizer of a newer schema beside persisters of this one", |run| {
            Box::pin(newer_records(run))
        }),
    ]
}

async fn rolling(mut run: Run) -> Report {
    let (old, new) = (binary::previous(), binary::penstock());
    let mix = Mix::of_everything();
    let mut pipeline = Trial::system(Some(&old), &mix, "").await;
    pipeline.start_role(Role::Gateway).await;
    let mut trial = Trial::of(pipeline, mix, WRITERS, &mut run.random).await;
    trial.pipeline.command(&["provision"]).await;
    trial.pipeline.command(&["migrate"]).await;
    let there = ORDER.map(|role| (role, new));
    let mut back = ORDER.map(|role| (role, old.as_path()));
    back.reverse();
    for (role, program) in there.into_iter().chain(back) {
        for process in trial.pipeline.role_list().iter_mut().filter(|process| process.role == role) {
            process.becomes(program);
            process.stop(STOP).await;
            process.start_again();
            process.ready().await;
        }
        trial.more(60).await;
    }
    let (report, _pipeline) = trial.end_accepted().await;
    let note = "two gateways; upgraded in order, then rolled back".to_owned();
    Report { note, ..report }
}

async fn newer_records(mut run: Run) -> Report {
    let newer = binary::with_another_line(
        "newer-schema",
        "proto/src/canonical.rs",
        "pub const SCHEMA_VERSION: u32 = 1;",
        "pub const SCHEMA_VERSION: u32 = 2;",
    );
    let mut trial = Trial::start(Mix::of_everything(), "", WRITERS, &mut run.random).await;
    // Old and new normalizers share the work: every second request or so is of the newer shape.
    trial.pipeline.start_role(Role::Normalizer).await;
    let last = trial.pipeline.role_list().len() - 1;
    let normalizer = &mut trial.pipeline.role_list()[last];
    normalizer.becomes(&newer);
    normalizer.stop(STOP).await;
    normalizer.start_again();
    normalizer.ready().await;
    let told = trial.tells(Role::Persister, &BACKLOG_OLD, WAITED).await;
    // What is of this shape goes on meanwhile.
    eventually(Duration::from_secs(30), "the others become rows", async || {
        if trial.pipeline.database.number(LATE).await > 0 { Ok(()) } else { Err("none in ten seconds") }
    })
    .await;
    assert_eq!(trial.pipeline.database.number("SELECT count(*) FROM dead_letters WHERE stage = 'persister'").await, 0);
    let waiting = trial.pipeline.broker.consumer("UNIQUE", "persister").await.unwrap();
    let waiting = waiting["num_ack_pending"].as_u64().unwrap();
    assert!(waiting > 0, "nothing of the newer shape waits");

    let persister = trial.pipeline.role(Role::Persister);
    persister.becomes(&newer);
    persister.stop(STOP).await;
    persister.start_again();
    let healed = trial.healed().await;
    let (report, _pipeline) = trial.end().await;
    let note = format!("{waiting} waited for the persister's upgrade, then became rows");
    Report { healed: Some(healed), told, note, ..report }
}
