//! `kill -9` where many requests are committed as a group. Where they are committed one by one, and at every single step,
//! it is a fault among others: `tests/faults`.

use std::time::Duration;

use tests::config::STANDARD;
use tests::ledger::Findings;
use tests::load::Load;
use tests::mix::{Kind, Mix};
use tests::random::Random;
use tests::sign::standard_request;
use tests::{Pipeline, Role, config};

const WRITERS: usize = 16;
/// What has to be accepted between two kills, so that each of them hits work.
const BETWEEN: u64 = 48;
const PROGRESS: Duration = Duration::from_mins(1);

/// Killed in the middle of a batch, all of it is stored or nothing of it is promised.
#[tokio::test]
async fn what_is_committed_as_a_group_is_as_exact_under_kills() {
    let mut random = Random::seeded("groups");
    let text = format!(
        "nats.group_commit = \"on\"\n{}",
        config::with_sources([config::signed("orders"), config::signed("together")])
    );
    let mut pipeline = Pipeline::by_hand(&text, &Role::ALL).await;

    // Each answer names the place of its own request, although many were acknowledged at once.
    let together = (0..64).map(|number| {
        let request = standard_request(STANDARD, "together", &format!("together-{number}"), "{\"text\":\"x\"}");
        let gateway = pipeline.gateways().remove(0);
        async move { request.send(&gateway).await.unwrap() }
    });
    let mut in_batches = 0;
    for answer in futures::future::join_all(together).await {
        let stored = pipeline.broker.message("RAW", answer.sequence()).await.unwrap();
        let id = stored.headers.get("Penstock-Id").map(|id| id.as_str().to_owned());
        assert_eq!(id, Some(answer.accepted().to_string()));
        in_batches += usize::from(stored.headers.get("Nats-Batch-Id").is_some());
    }
    assert!(in_batches > 32, "{in_batches} of 64 came together");

    let load = Load::start(&pipeline.gateways(), &Mix::only(Kind::Webhook), WRITERS, &mut random);
    for _ in 0..3 {
        for role in [Role::Gateway, Role::Normalizer] {
            load.more(BETWEEN, PROGRESS).await;
            pipeline.role(role).kill();
            pipeline.role(role).start_again();
        }
    }
    load.more(BETWEEN, PROGRESS).await;
    let deliveries = load.stop().await;
    pipeline.settled().await;
    let endings = pipeline.database.endings("orders").await;
    let findings = Findings::of(&deliveries, &endings);
    findings.assert_exact();
    assert!(findings.duplicates > 0, "the load repeats messages: {findings}");
}
