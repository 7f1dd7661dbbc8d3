//! The configuration is read again a thousand times while requests come in: none is lost, and none is refused.

use std::time::Duration;

use nix::sys::signal::Signal;
use tests::eventually::{ensure, eventually};
use tests::ledger::{Findings, Outcome};
use tests::load::Load;
use tests::mix::Mix;
use tests::random::Random;
use tests::{Pipeline, Role, config};

const TIMES: u32 = 1000;
const SOON: Duration = Duration::from_secs(20);

/// The same sources with other limits, budgets and secrets beside those that are used; one of ten times a file that is wrong.
fn variant(mix: &Mix, number: u32) -> String {
    if number % 10 == 9 {
        return config::with_sources(["name = \"broken\"\nchannel = \"webhook\"\nprovider = \"nobody\""]);
    }
    let gateway = format!("[gateway]\nbody_budget = \"{} MiB\"\n", 256 + number % 5);
    let common = config::COMMON.replace("[gateway]\n", &gateway);
    let extra = format!("secrets = [{{ value = \"secret-number-{number}\" }}]");
    let more = config::source("webhook", "github", &format!("extra-{}", number % 7), &extra);
    config::with(&common, mix.sources("").into_iter().chain([more]))
}

#[tokio::test]
async fn a_thousand_reloads_under_load_lose_and_refuse_no_request() {
    let mut random = Random::seeded("reloads");
    let mix = Mix::of_small_ones();
    let mut pipeline = Pipeline::by_hand(&variant(&mix, 0), &Role::ALL).await;
    let load = Load::start(&pipeline.gateways(), &mix, 4, &mut random);
    load.more(10, SOON).await;
    let config = pipeline.config().to_owned();
    for number in 1..=TIMES {
        let (written, result) = (config.with_extension("new"), if number % 10 == 9 { "refused" } else { "applied" });
        let counted = async |pipeline: &Pipeline| {
            pipeline.scrape(Role::Gateway).await.sum("penstock_config_reloads_total", &[("result", result)])
        };
        let before = counted(&pipeline).await;
        std::fs::write(&written, variant(&mix, number)).unwrap();
        std::fs::rename(&written, &config).unwrap();
        pipeline.role(Role::Gateway).child().signal(Signal::SIGHUP);
        eventually(SOON, "the file was read again", async || {
            let now = counted(&pipeline).await;
            ensure(now > before, || format!("{result}: {now:?}"))
        })
        .await;
    }
    load.more(10, SOON).await;
    let deliveries = load.stop().await;
    let failed: Vec<_> = deliveries.iter().filter(|one| !matches!(one.outcome, Outcome::Accepted(_))).collect();
    assert!(failed.is_empty(), "{} of {} failed, such as {:#?}", failed.len(), deliveries.len(), failed[0]);
    pipeline.settled().await;
    let findings = Findings::of(&deliveries, &pipeline.database.endings_of(&mix.names()).await);
    findings.assert_exact();
    println!("{findings}");
}
