//! What can happen to streams and consumers behind Penstock's back: deleted, changed, their memory gone, deliveries that
//! come again all the time.
//!
//! What a reader would get wrong: a stream that is deleted takes with it what was in it. Nothing can bring that back, so
//! here everything has come through when it is deleted; the promise is about what comes after.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tests::mix::Mix;
use tests::proxy::{CLEAR, Proxy, Way, authority};
use tests::{Pipeline, Role, config, eventually};
use tokio::time::{Instant, sleep};

use crate::report::Report;
use crate::scenario::{Run, Scenario};
use crate::sign::{REDELIVERIES, STREAMS_CHANGED};
use crate::trial::Trial;

const WRITERS: usize = 4;
/// They are looked at every 10 seconds.
const TOLD: Duration = Duration::from_secs(30);
const POSTGRES: &str = "PENSTOCK__POSTGRES__URL";

pub(crate) fn scenarios() -> Vec<Scenario> {
    let one = |name, what, run| Scenario { name, what, bounded: false, root: false, run };
    vec![
        one("streams/raw-deleted", "RAW deleted; a person runs `penstock provision`", |run| Box::pin(raw_deleted(run))),
        one("streams/discard-old", "RAW set to drop its oldest when full; a person runs `penstock provision`", |run| {
            Box::pin(changed(run, |config| config["discard"] = json!("old")))
        }),
        one("streams/max-age", "RAW given an age at which messages go; a person runs `penstock provision`", |run| {
            Box::pin(changed(run, |config| config["max_age"] = json!(3_600_000_000_000_u64)))
        }),
        one(
            "streams/consumer-deleted",
            "the persister's consumer deleted; a person runs `penstock provision`",
            |run| Box::pin(consumer_deleted(run)),
        ),
        one(
            "streams/ids-forgotten",
            "NATS forgets what was published, while workers die with messages in hand",
            |run| Box::pin(ids_forgotten(run)),
        ),
        one(
            "streams/redelivery-storm",
            "ack_wait of 1 s on the persister's consumers, and PostgreSQL slower than that",
            |run| Box::pin(redelivery_storm(run)),
        ),
    ]
}

/// The configuration of a stream, changed.
async fn change(pipeline: &Pipeline, stream: &str, how: impl FnOnce(&mut Value)) {
    let mut config = pipeline.broker.stream(stream).await["config"].take();
    how(&mut config);
    pipeline.broker.api(&format!("STREAM.UPDATE.{stream}"), config).await.unwrap();
}

async fn raw_deleted(mut run: Run) -> Report {
    let mut trial = Trial::start(Mix::of_everything(), "", WRITERS, &mut run.random).await;
    trial.pipeline.role(Role::Gateway).child().signal(Signal::SIGSTOP);
    trial.pipeline.settled().await;
    trial.pipeline.broker.api("STREAM.DELETE.RAW", json!({})).await.unwrap();
    trial.pipeline.role(Role::Gateway).child().signal(Signal::SIGCONT);
    let told = trial.tells(Role::Gateway, &STREAMS_CHANGED, TOLD).await;
    provisioned(trial, told).await
}

async fn changed(mut run: Run, how: fn(&mut Value)) -> Report {
    let trial = Trial::start(Mix::of_everything(), "", WRITERS, &mut run.random).await;
    change(&trial.pipeline, "RAW", how).await;
    let told = trial.tells(Role::Gateway, &STREAMS_CHANGED, TOLD).await;
    provisioned(trial, told).await
}

async fn consumer_deleted(mut run: Run) -> Report {
    let trial = Trial::start(Mix::of_everything(), "", WRITERS, &mut run.random).await;
    trial.pipeline.broker.api("CONSUMER.DELETE.UNIQUE.persister", json!({})).await.unwrap();
    let told = trial.tells(Role::Persister, &STREAMS_CHANGED, TOLD).await;
    trial.goes_on().await;
    provisioned(trial, told).await
}

/// A person does what the alert says.
async fn provisioned(mut trial: Trial, told: String) -> Report {
    let begun = Instant::now();
    trial.pipeline.command(&["provision"]).await;
    trial.healed().await;
    let healed = begun.elapsed();
    let (report, _pipeline) = trial.end_served().await;
    Report { healed: Some(healed), told, note: "a person: `penstock provision`".to_owned(), ..report }
}

async fn ids_forgotten(mut run: Run) -> Report {
    let rounds = run.length(2, 8);
    let mut trial = Trial::start(Mix::of_everything(), "", WRITERS, &mut run.random).await;
    for _ in 0..rounds {
        for stream in ["CANONICAL", "UNIQUE", "DUPLICATES"] {
            change(&trial.pipeline, stream, |config| config["duplicate_window"] = json!(100_000_000)).await;
        }
        for role in [Role::Normalizer, Role::Dedup] {
            trial.pipeline.role(role).kill();
        }
        trial.goes_on().await;
        // They would not start on it.
        trial.pipeline.command(&["provision"]).await;
        for role in [Role::Normalizer, Role::Dedup] {
            trial.pipeline.role(role).start_again();
            trial.pipeline.role(role).ready().await;
        }
    }
    let healed = trial.healed().await;
    let (report, _pipeline) = trial.end_served().await;
    Report { healed: Some(healed), note: format!("{rounds} times"), ..report }
}

async fn redelivery_storm(mut run: Run) -> Report {
    let mix = Mix::of_small_ones();
    let mut pipeline = Pipeline::by_hand(&config::with_sources(mix.sources("")), &Role::ALL).await;
    // Two, so that what one has in hand is delivered to the other as well.
    pipeline.start_role(Role::Persister).await;
    let mut trial = Trial::of(pipeline, mix, WRITERS, &mut run.random).await;
    let url = trial.pipeline.run().postgres_url;
    let proxy = Proxy::before(authority(&url)).await;
    for process in trial.pipeline.role_list().iter_mut().filter(|process| process.role == Role::Persister) {
        process.set(POSTGRES, Some(&proxy.url(&url)));
        process.kill();
        process.start_again();
        process.ready().await;
    }
    for (stream, name) in [("UNIQUE", "persister"), ("DUPLICATES", "persister-duplicates")] {
        let mut config = trial.pipeline.broker.consumer(stream, name).await.unwrap()["config"].take();
        config["ack_wait"] = json!(1_000_000_000);
        let request = json!({ "stream_name": stream, "config": config, "action": "update" });
        trial.pipeline.broker.api(&format!("CONSUMER.DURABLE.CREATE.{stream}.{name}"), request).await.unwrap();
    }
    proxy.both(Way { latency: Duration::from_millis(250), ..CLEAR });
    let told = [
        trial.tells(Role::Persister, &STREAMS_CHANGED, TOLD).await,
        trial.tells(Role::Persister, &REDELIVERIES, TOLD).await,
    ];
    sleep(run.length(Duration::from_secs(5), Duration::from_secs(30))).await;
    proxy.both(CLEAR);
    trial.pipeline.command(&["provision"]).await;
    let healed = trial.healed().await;
    let (report, pipeline) = trial.end_served().await;
    eventually(TOLD, "nothing is delivered any more", async || pipeline.broker.backlog().await).await;
    Report { healed: Some(healed), told: told.join("; "), note: "a person: `penstock provision`".to_owned(), ..report }
}
