//! `kill -9` of any process at any moment: what was accepted is one row, and every repeat is recorded.

use std::time::Duration;

use tests::config::STANDARD;
use tests::ledger::Findings;
use tests::load::Load;
use tests::mix::{Kind, Mix};
use tests::random::Random;
use tests::sign::standard_request;
use tests::{Pipeline, Role, config};

const WRITERS: usize = 4;
const ROUNDS: usize = 6;
/// What has to be accepted between two kills, so that each of them hits work.
const BETWEEN: u64 = 12;
const PROGRESS: Duration = Duration::from_mins(1);

#[tokio::test]
async fn a_process_killed_at_each_stage_under_load_loses_nothing_and_doubles_nothing() {
    let mut random = Random::seeded("kills");
    let mut pipeline = Pipeline::by_hand(&config::with_sources([config::signed("orders")]), &Role::ALL).await;
    let load = Load::start(&pipeline.gateways(), &Mix::only(Kind::Webhook), WRITERS, &mut random);
    load.more(BETWEEN, PROGRESS).await;

    let mut kills = 0;
    for round in 0..ROUNDS {
        // Every role once a round, in another order each time; the last round all at one moment.
        let mut order = Role::ALL;
        random.shuffle(&mut order);
        for role in order {
            pipeline.role(role).kill();
            kills += 1;
            if round + 1 == ROUNDS {
                continue;
            }
            // A moment of absence, and sometimes a second death before it was ready again.
            tokio::time::sleep(Duration::from_millis(random.below(300))).await;
            pipeline.role(role).start_again();
            if random.below(4) == 0 {
                tokio::time::sleep(Duration::from_millis(random.below(1_500))).await;
                pipeline.role(role).kill();
                kills += 1;
                pipeline.role(role).start_again();
            }
            load.more(BETWEEN, PROGRESS).await;
        }
    }
    for process in pipeline.role_list() {
        process.start_again();
    }
    load.more(BETWEEN, PROGRESS).await;
    assert!(kills >= 20, "{kills} kills");

    let deliveries = load.stop().await;
    pipeline.settled().await;
    let findings = Findings::of(&deliveries, &pipeline.database.endings("orders").await);
    println!("{kills} kills: {findings}");
    findings.assert_exact();
    assert!(findings.duplicates > 0, "the load repeats messages: {findings}");
}

/// The same with batches: killed in the middle of one, all of it is stored or nothing of it is promised.
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

    let load = Load::start(&pipeline.gateways(), &Mix::only(Kind::Webhook), 4 * WRITERS, &mut random);
    for _ in 0..3 {
        for role in [Role::Gateway, Role::Normalizer] {
            load.more(4 * BETWEEN, PROGRESS).await;
            pipeline.role(role).kill();
            pipeline.role(role).start_again();
        }
    }
    load.more(4 * BETWEEN, PROGRESS).await;
    let deliveries = load.stop().await;
    pipeline.settled().await;
    let endings = pipeline.database.endings("orders").await;
    Findings::of(&deliveries, &endings).assert_exact();
}

/// The control: the same load and the same ledger, with deduplication off. It has to see what then goes wrong.
#[tokio::test]
async fn without_deduplication_the_same_ledger_finds_messages_stored_twice() {
    let mut random = Random::seeded("control");
    let mix = Mix::only(Kind::Webhook);
    let pipeline = Pipeline::start(&config::with_sources(mix.sources("dedup = { policy = \"off\" }"))).await;
    let load = Load::start(&pipeline.gateways(), &mix, WRITERS, &mut random);
    load.more(10 * BETWEEN, PROGRESS).await;
    let deliveries = load.stop().await;
    pipeline.settled().await;
    let endings = pipeline.database.endings("orders").await;
    let findings = Findings::of(&deliveries, &endings);
    assert!(!findings.exact() && !findings.twice.is_empty(), "{findings}");
    assert!(findings.lost.is_empty() && findings.unaccounted.is_empty(), "{findings:#?}");
}
