//! What can happen between processes that are all well: nothing comes through in one direction, in the other, in both;
//! connections are reset; packets are lost; the line is slow.

use std::time::Duration;

use tests::Role;
use tests::mix::Mix;
use tests::namespace::Namespace;
use tests::proxy::{CLEAR, CLOSED, Proxy, authority};
use tokio::time::{Instant, sleep, sleep_until};

use crate::report::Report;
use crate::scenario::{Run, Scenario};
use crate::sign::{NATS_UNSTEADY, NOT_READY};
use crate::trial::Trial;

const WRITERS: usize = 4;
const NATS: &str = "PENSTOCK__NATS__URL";
const POSTGRES: &str = "PENSTOCK__POSTGRES__URL";
const TOLD: Duration = Duration::from_secs(40);
const SILENT: Duration = Duration::from_secs(20);
const BETWEEN_RESETS: Duration = Duration::from_millis(100);

pub(crate) fn scenarios() -> Vec<Scenario> {
    let one = |name, what, run| Scenario { name, what, bounded: false, root: false, run };
    let root = |name, what, run| Scenario { root: true, ..one(name, what, run) };
    vec![
        one("network/gateway-nats", "nothing comes through to NATS, nothing back, neither: 20 s each", |run| {
            Box::pin(partition(run, &[Role::Gateway], NATS))
        }),
        one("network/workers-nats", "the same between the three workers and NATS", |run| {
            Box::pin(partition(run, &[Role::Normalizer, Role::Dedup, Role::Persister], NATS))
        }),
        one("network/persister-postgres", "the same between the persister and PostgreSQL", |run| {
            Box::pin(partition(run, &[Role::Persister], POSTGRES))
        }),
        Scenario {
            bounded: true,
            ..one("network/resets", "every connection to NATS and PostgreSQL reset ten times a second", |run| {
                Box::pin(resets(run))
            })
        },
        root("network/loss", "gateway and persister behind a wire that loses 5 % of all packets", |run| {
            Box::pin(bad_wire(run, |wire| wire.lose(5)))
        }),
        root("network/slow-line", "gateway and persister behind a wire of 2 Mbit/s", |run| {
            Box::pin(bad_wire(run, |wire| wire.limit("2mbit")))
        }),
    ]
}

/// Puts a proxy between roles and a server.
async fn between(trial: &mut Trial, roles: &[Role], variable: &str) -> Proxy {
    let servers = trial.pipeline.environment();
    let url = servers.iter().find(|(name, _)| name == variable).map(|(_, url)| url.clone()).expect("a server");
    let proxy = Proxy::before(authority(&url)).await;
    for role in roles {
        trial.restart_with(*role, variable, &proxy.url(&url)).await;
    }
    trial.goes_on().await;
    proxy
}

async fn partition(mut run: Run, roles: &[Role], variable: &str) -> Report {
    let mut trial = Trial::start(Mix::of_small_ones(), "", WRITERS, &mut run.random).await;
    let proxy = between(&mut trial, roles, variable).await;
    let (mut longest, mut told) = (Duration::ZERO, String::new());
    for close in [Proxy::there, Proxy::back, Proxy::both] {
        let end = Instant::now() + SILENT;
        close(&proxy, CLOSED);
        for role in roles {
            told = trial.tells(*role, &NOT_READY, TOLD).await;
        }
        sleep_until(end).await;
        proxy.both(CLEAR);
        longest = longest.max(trial.healed().await);
    }
    let (report, _pipeline) = trial.end_served().await;
    Report { healed: Some(longest), told, ..report }
}

async fn resets(mut run: Run) -> Report {
    let lasts = run.length(Duration::from_secs(8), Duration::from_secs(30));
    let mut trial = Trial::start(Mix::of_everything(), "", WRITERS, &mut run.random).await;
    let nats = between(&mut trial, &Role::ALL, NATS).await;
    let postgres = between(&mut trial, &[Role::Persister], POSTGRES).await;
    let end = Instant::now() + lasts;
    while Instant::now() < end {
        nats.reset();
        postgres.reset();
        sleep(BETWEEN_RESETS.mul_f64(0.5 + f64::from(u32::try_from(run.random.below(100)).unwrap()) / 100.0)).await;
    }
    let told = trial.tells(Role::Gateway, &NATS_UNSTEADY, TOLD).await;
    let healed = trial.healed().await;
    let (report, _pipeline) = trial.end_served().await;
    Report { healed: Some(healed), told, ..report }
}

/// Gateway and persister in a network of their own, with one wire to everything else.
async fn bad_wire(mut run: Run, spoil: fn(&Namespace)) -> Report {
    // What is large would take the wire for seconds, and its sender be told that it is too slow.
    let (wire, mix) = (Namespace::new(), Mix::of_small_ones());
    let text = tests::config::with_sources(mix.sources(""));
    let mut pipeline = tests::Pipeline::by_hand(&text, &Role::ALL).await;
    let servers = pipeline.environment();
    let mut proxies = Vec::new();
    for role in [Role::Gateway, Role::Persister] {
        let process = pipeline.role(role);
        process.kill();
        process.moves(wire.prefix(), &wire.inside());
        process.set("PENSTOCK__GATEWAY__TRUSTED_PROXIES", Some(&format!("[\"{}\"]", wire.outside())));
        for (variable, url) in &servers {
            let proxy = Proxy::on(&wire.outside(), authority(url)).await;
            process.set(variable, Some(&proxy.url(url)));
            proxies.push(proxy);
        }
        process.start_again();
        process.ready().await;
    }
    let mut trial = Trial::of(pipeline, mix, WRITERS, &mut run.random).await;
    let before = trial.accepted();
    spoil(&wire);
    sleep(run.length(Duration::from_secs(15), Duration::from_mins(1))).await;
    let meanwhile = trial.accepted() - before;
    wire.clear();
    let healed = trial.healed().await;
    // How long an answer takes is the wire's doing as well.
    let (report, _pipeline) = trial.end().await;
    assert!(meanwhile > 0, "nothing was accepted meanwhile");
    Report { healed: Some(healed), note: format!("{meanwhile} requests accepted meanwhile"), ..report }
}
