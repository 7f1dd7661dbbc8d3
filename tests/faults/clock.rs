//! A machine whose clock is wrong: each role in turn under libfaketime, by minutes and by days.
//!
//! The monotonic clock is left alone: no clock that is set moves it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tests::mix::Mix;
use tests::{Pipeline, Role};
use tokio::time::sleep;

use crate::report::Report;
use crate::scenario::{Run, Scenario};
use crate::sign::{BACKLOG_OLD, CLOCK_SKEW, NOT_READY};
use crate::trial::Trial;

const WRITERS: usize = 4;
const STOP: Duration = Duration::from_secs(40);
const TOLD: Duration = Duration::from_secs(20);
/// Where distributions put it.
const FOLDERS: [&str; 5] = [
    "/usr/lib/x86_64-linux-gnu/faketime",
    "/usr/lib/aarch64-linux-gnu/faketime",
    "/usr/lib64/faketime",
    "/usr/lib/faketime",
    "/usr/local/lib/faketime",
];
const LIBRARY: &str = "libfaketimeMT.so.1";
/// How far off. The last ones would be a month that is over, if anybody believed them.
const OFFSETS: [&str; 6] = ["+10m", "-10m", "+1d", "-1d", "+800d", "-800d"];

/// Rows that say another time than when they came.
const MISDATED: &str = "SELECT count(*) FROM messages WHERE abs(extract(epoch FROM received_at - stored_at)) > 3600";

pub(crate) fn scenarios() -> Vec<Scenario> {
    let scenario = |name, what, run| Scenario { name, what, bounded: false, root: false, run };
    vec![
        scenario("clock/gateway", "ten minutes, a day and two years off", |run| Box::pin(off(run, Role::Gateway))),
        scenario("clock/normalizer", "the same", |run| Box::pin(off(run, Role::Normalizer))),
        scenario("clock/dedup", "the same", |run| Box::pin(off(run, Role::Dedup))),
        scenario("clock/persister", "the same", |run| Box::pin(off(run, Role::Persister))),
    ]
}

async fn off(mut run: Run, role: Role) -> Report {
    let lasts = run.length(Duration::from_secs(2), Duration::from_secs(10));
    let library = library();
    let mut trial = Trial::start(Mix::of_everything(), "", WRITERS, &mut run.random).await;
    let mut told = String::new();
    for offset in OFFSETS {
        set(&mut trial.pipeline, role, Some((&library, offset))).await;
        if role == Role::Gateway {
            told = trial.tells(role, &CLOCK_SKEW, TOLD).await;
            trial.tells(role, &NOT_READY, TOLD).await;
        } else {
            trial.pipeline.role(role).ready().await;
        }
        trial.goes_on().await;
        sleep(lasts).await;
        if role != Role::Gateway {
            nothing_is_thrown_away(&trial.pipeline, role).await;
        }
    }
    set(&mut trial.pipeline, role, None).await;
    let healed = trial.healed().await;
    let (report, pipeline) = trial.end().await;
    assert_eq!(pipeline.database.number(MISDATED).await, 0, "a row is dated by a clock that is wrong");
    read_again(&pipeline).await;
    let note = format!("{}; a replay by right clocks gives the same rows", OFFSETS.join(", "));
    if told.is_empty() {
        "nothing: it decides nothing by its clock, and goes on".clone_into(&mut told);
    }
    Report { healed: Some(healed), told, note, ..report }
}

/// Starts a role anew, with a wrong clock or with a right one.
async fn set(pipeline: &mut Pipeline, role: Role, wrong: Option<(&Path, &str)>) {
    let process = pipeline.role(role);
    let (library, offset) = wrong.map(|(library, offset)| (library.to_str().unwrap(), offset)).unzip();
    process.set("LD_PRELOAD", library);
    process.set("FAKETIME", offset);
    process.set("FAKETIME_DONT_FAKE_MONOTONIC", offset.map(|_| "1"));
    process.stop(STOP).await;
    process.start_again();
}

/// What goes by age goes by the broker's clock, and no alert is raised by a clock that only this process has.
async fn nothing_is_thrown_away(pipeline: &Pipeline, role: Role) {
    let metrics = pipeline.scrape(role).await;
    let figure = |name: &str, labels: &[(&str, &str)]| {
        metrics.sum(name, labels).ok_or_else(|| format!("{name} {labels:?} is not there")).unwrap()
    };
    // What else is trimmed goes when it is processed, whatever time it is.
    let kept: &[&str] = match role {
        Role::Normalizer => &["RAW", "HELD"],
        Role::Persister => &["UNIQUE", "DLQ"],
        Role::Gateway | Role::Dedup => &[],
    };
    for stream in kept {
        let gone = figure("penstock_trimmed_messages_total", &[("stream", stream)]);
        assert!(gone == 0.0, "{gone} messages of {stream} were thrown away");
    }
    if role == Role::Persister {
        for counter in ["penstock_persister_dropped_months_total", "penstock_persister_expired_keys_total"] {
            assert!(figure(counter, &[]) == 0.0, "{counter} has moved");
        }
    }
    let age = figure("penstock_backlog_age_seconds", &[]);
    assert!(!BACKLOG_OLD.holds(age), "an alert for nothing: {age} s");
}

/// Everything read again by clocks that are right gives the rows that are there, with the ids that they have.
async fn read_again(pipeline: &Pipeline) {
    let rows = async || {
        let mut ids = Vec::new();
        for table in ["messages", "message_statuses", "duplicates"] {
            let content = pipeline.database.content(table).await;
            ids.extend(content.iter().map(|row| {
                let row: Value = serde_json::from_str(row).unwrap();
                (
                    row["received_at"].to_string(),
                    row["request_id"].to_string(),
                    row["part"].to_string(),
                    row["id"].to_string(),
                )
            }));
        }
        ids.sort();
        ids
    };
    let before = rows().await;
    pipeline.command(&["replay"]).await;
    pipeline.settled().await;
    assert!(rows().await == before, "a reading by a wrong clock gave other ids");
}

fn library() -> PathBuf {
    let found = FOLDERS.into_iter().map(|folder| Path::new(folder).join(LIBRARY)).find(|path| path.is_file());
    found.expect("libfaketime is missing: `apt-get install libfaketime` (or leave the clock out by naming others)")
}
