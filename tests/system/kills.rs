//! `kill -9` of any process at any moment: what was accepted is one row, and every repeat is recorded.

use std::time::Duration;

use tests::ledger::Findings;
use tests::load::Load;
use tests::random::Random;
use tests::{Pipeline, Role, config};

use crate::shared;

const WRITERS: usize = 4;
const ROUNDS: usize = 6;
/// What has to be accepted between two kills, so that each of them hits work.
const BETWEEN: u64 = 12;
const PROGRESS: Duration = Duration::from_mins(1);

#[tokio::test]
async fn a_process_killed_at_each_stage_under_load_loses_nothing_and_doubles_nothing() {
    let mut random = Random::seeded("kills");
    let mut pipeline = Pipeline::by_hand(&config::with_sources([config::signed("orders")]), &Role::ALL).await;
    let load = Load::start(&pipeline.gateways(), "orders", WRITERS, &mut random);
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

/// The control: the same load and the same ledger, with deduplication off. It has to see what then goes wrong.
#[tokio::test]
async fn without_deduplication_the_same_ledger_finds_messages_stored_twice() {
    let mut random = Random::seeded("control");
    let pipeline = shared::pipeline().await;
    let load = Load::start(&pipeline.gateways(), "control", WRITERS, &mut random);
    load.more(10 * BETWEEN, PROGRESS).await;
    let deliveries = load.stop().await;
    pipeline.settled().await;
    let endings = pipeline.database.endings("control").await;
    let findings = Findings::of(&deliveries, &endings);
    assert!(!findings.exact() && !findings.twice.is_empty(), "{findings}");
    assert!(findings.lost.is_empty() && findings.unaccounted.is_empty(), "{findings:#?}");
}
