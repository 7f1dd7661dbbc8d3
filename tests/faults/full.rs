//! What fills up: a stream to its limit, and the disk under NATS.

use std::time::Duration;

use serde_json::json;
use tests::mix::Mix;
use tests::nats_server::{NatsServer, program_of};
use tests::up::Up;
use tests::{Pipeline, Request, Role, eventually};
use tokio::time::{Instant, sleep};

use crate::report::Report;
use crate::scenario::{Run, Scenario};
use crate::sign::{BACKLOG_OLD, INTAKE_REFUSES, RAW_FULL};
use crate::small_disk::SmallDisk;
use crate::trial::Trial;

const WRITERS: usize = 4;
const SOON: Duration = Duration::from_mins(1);
/// A refusal that needs no time-out.
const AT_ONCE: Duration = Duration::from_secs(1);
/// Megabytes. Only the fault may fill it: what is sent beside it takes some 150.
const DISK: u32 = 512;
/// The age that is told, and a little.
const OLD: Duration = Duration::from_mins(4);

pub(crate) fn scenarios() -> Vec<Scenario> {
    let one = |name, what, run| Scenario { name, what, bounded: false, root: false, run };
    vec![
        one("full/raw", "dedup stopped until CANONICAL and then RAW are full; started again", |run| Box::pin(raw(run))),
        one("full/unique", "persister stopped until UNIQUE is full; started again", |run| Box::pin(unique(run))),
        Scenario {
            root: true,
            ..one("full/disk", "the disk under NATS full (ENOSPC); a person makes room and restarts NATS", |run| {
                Box::pin(disk(run))
            })
        },
    ]
}

/// Leaves a stream room for so many bytes more.
async fn leave(pipeline: &Pipeline, stream: &str, bytes: u64) {
    let mut info = pipeline.broker.stream(stream).await;
    let mut config = info["config"].take();
    config["max_bytes"] = json!(info["state"]["bytes"].as_u64().unwrap() + bytes);
    pipeline.broker.api(&format!("STREAM.UPDATE.{stream}"), config).await.unwrap();
}

async fn raw(mut run: Run) -> Report {
    let mut trial = Trial::start(Mix::of_small_ones(), "", WRITERS, &mut run.random).await;
    trial.pipeline.role(Role::Dedup).stop(SOON).await;
    // A pass of trimming takes a tenth of a stream: one that is very small gets little room each time.
    leave(&trial.pipeline, "CANONICAL", 2_000_000).await;
    leave(&trial.pipeline, "RAW", 1_000_000).await;
    trial.tells(Role::Gateway, &INTAKE_REFUSES, OLD).await;
    // What is larger than all that was refused is refused as well.
    let body = json!({ "id": "full", "message": "x".repeat(30_000) }).to_string();
    let refused = trial.pipeline.post(&Request::json("/v1/form/contact", body)).await;
    refused.problem(503);
    assert!(refused.header("Retry-After").is_some() && refused.took < AT_ONCE, "at once, and when to try: {refused}");
    let told = trial.tells(Role::Normalizer, &RAW_FULL, OLD).await;
    trial.pipeline.role(Role::Dedup).start_again();
    let healed = trial.healed().await;
    let (report, _pipeline) = trial.end_served().await;
    Report { healed: Some(healed), told, ..report }
}

async fn unique(mut run: Run) -> Report {
    let mut trial = Trial::start(Mix::of_small_ones(), "", WRITERS, &mut run.random).await;
    trial.pipeline.role(Role::Persister).stop(SOON).await;
    leave(&trial.pipeline, "UNIQUE", 5_000_000).await;
    let told = trial.tells(Role::Dedup, &BACKLOG_OLD, OLD).await;
    trial.goes_on().await;
    trial.pipeline.role(Role::Persister).start_again();
    let healed = trial.healed().await;
    // Claims that were processed have to go before their time.
    let begun = Instant::now();
    let draining = eventually(Duration::from_mins(8), "dedup goes on", async || {
        let info = trial.pipeline.broker.consumer("CANONICAL", "dedup").await?;
        let waits: u64 = ["num_pending", "num_ack_pending"].iter().filter_map(|kind| info[kind].as_u64()).sum();
        if waits < 50 { Ok(begun.elapsed()) } else { Err(format!("{waits} wait")) }
    })
    .await;
    let (report, _pipeline) = trial.end_served().await;
    let note = format!("providers saw nothing; room was made after {:.0} s", draining.as_secs_f64());
    Report { healed: Some(healed), told, note, ..report }
}

async fn disk(mut run: Run) -> Report {
    let up = Up::start(None, &[]).await;
    let program = program_of(up.run().unwrap().pids.nats.expect("up runs it"));
    let place = tempfile::Builder::new().prefix("penstock-test-disk-").tempdir().unwrap();
    let folder = place.path().join("nats");
    let disk = SmallDisk::mount(&folder, DISK);
    let mut nats = NatsServer::new(&program, &folder, "own", "sync_interval: always, max_file_store: 8GB", "");
    nats.start();
    nats.well().await;
    let mut trial = Trial::start_on(up, &nats.url(), None, Mix::of_everything(), "", WRITERS, &mut run.random).await;
    disk.fill(4 << 20);
    let told = trial.tells(Role::Gateway, &INTAKE_REFUSES, SOON).await;
    sleep(run.length(Duration::from_secs(5), Duration::from_secs(20))).await;
    disk.free();
    let before = trial.accepted();
    sleep(Duration::from_secs(15)).await;
    let by_itself = trial.accepted() - before;
    let begun = Instant::now();
    nats.stop(SOON).await;
    nats.start();
    trial.healed().await;
    let healed = begun.elapsed();
    let (report, _pipeline) = trial.end_served().await;
    let note = format!("a person: make room, restart NATS; {by_itself} requests accepted in the 15 s before that");
    Report { healed: Some(healed), told, note, ..report }
}
