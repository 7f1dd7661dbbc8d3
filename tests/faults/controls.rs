//! The controls: the same load and the same ledger over a pipeline that is broken on purpose. A harness that finds
//! nothing here would find nothing anywhere.

use std::time::Duration;

use serde_json::json;
use tests::ledger::{Delivery, Findings};
use tests::mix::{Kind, Mix};
use tests::{Pipeline, Role, config, eventually};

use crate::report::Report;
use crate::scenario::{Run, Scenario};
use crate::trial::Trial;

const WRITERS: usize = 4;
const SOON: Duration = Duration::from_mins(1);

pub(crate) fn scenarios() -> Vec<Scenario> {
    let control = |name, what, run| Scenario { name, what, bounded: true, root: false, run };
    vec![
        control("controls/no-deduplication", "deduplication off: messages have to be found twice", |run| {
            Box::pin(no_deduplication(run))
        }),
        control(
            "controls/discard-old",
            "a stream that drops its oldest when full: messages have to be found lost",
            |run| Box::pin(discard_old(run)),
        ),
        control(
            "controls/ack-before-commit",
            "messages acknowledged by nobody's work: they have to be found lost",
            |run| Box::pin(ack_before_commit(run)),
        ),
    ]
}

async fn no_deduplication(mut run: Run) -> Report {
    let mix = Mix::only(Kind::Webhook);
    let text = config::with_sources(mix.sources("dedup = { policy = \"off\" }"));
    let pipeline = Pipeline::by_hand(&text, &Role::ALL).await;
    let trial = Trial::of(pipeline, mix, WRITERS, &mut run.random).await;
    trial.more(100).await;
    let (findings, deliveries, _pipeline) = trial.judge().await;
    assert!(!findings.twice.is_empty() && !findings.exact(), "the ledger is blind: {findings}");
    assert!(findings.lost.is_empty() && findings.unaccounted.is_empty(), "{findings:#?}");
    seen(&findings, &deliveries)
}

/// The normalizer is stopped while RAW overflows. Only a stream that was changed behind Penstock's back does that, and
/// no worker would start on it: so the roles run already when it is changed.
async fn discard_old(mut run: Run) -> Report {
    let mix = Mix::only(Kind::Webhook);
    let mut pipeline = Pipeline::by_hand(&config::with_sources(mix.sources("")), &Role::ALL).await;
    pipeline.role(Role::Normalizer).stop(SOON).await;
    let mut info = pipeline.broker.stream("RAW").await;
    let mut config = info["config"].take();
    (config["discard"], config["max_msgs"]) = (json!("old"), json!(50));
    pipeline.broker.api("STREAM.UPDATE.RAW", config.clone()).await.unwrap();
    let mut trial = Trial::of(pipeline, mix, WRITERS, &mut run.random).await;
    trial.more(150).await;
    (config["discard"], config["max_msgs"]) = (json!("new"), json!(-1));
    trial.pipeline.broker.api("STREAM.UPDATE.RAW", config).await.unwrap();
    trial.pipeline.role(Role::Normalizer).start_again();
    let (findings, deliveries, _pipeline) = trial.judge().await;
    assert!(!findings.lost.is_empty() && !findings.unaccounted.is_empty(), "the ledger is blind: {findings}");
    seen(&findings, &deliveries)
}

/// Somebody takes messages from the persister's consumer and acknowledges them without having written anything.
async fn ack_before_commit(mut run: Run) -> Report {
    let mix = Mix::only(Kind::Webhook);
    let mut pipeline = Pipeline::by_hand(&config::with_sources(mix.sources("")), &Role::ALL).await;
    pipeline.role(Role::Persister).stop(SOON).await;
    let mut trial = Trial::of(pipeline, mix, WRITERS, &mut run.random).await;
    trial.more(60).await;
    let taken = eventually(SOON, "messages are taken and thrown away", async || {
        let taken = trial.pipeline.broker.take_and_acknowledge("UNIQUE", "persister", 20).await?;
        if taken > 0 { Ok(taken) } else { Err("none yet".to_owned()) }
    })
    .await;
    trial.pipeline.role(Role::Persister).start_again();
    let (findings, deliveries, _pipeline) = trial.judge().await;
    assert!(findings.unaccounted.len() >= taken, "{taken} were thrown away, and the ledger is blind: {findings}");
    seen(&findings, &deliveries)
}

fn seen(findings: &Findings, deliveries: &[Delivery]) -> Report {
    let (lost, twice) = (findings.lost.len(), findings.twice.len());
    Report { lost, twice, note: "as it has to be: a control".to_owned(), ..Report::of(deliveries) }
}
