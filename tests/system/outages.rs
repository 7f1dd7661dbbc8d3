//! Broker or database away, frozen or restarted: a 503 in time instead of a promise that cannot be kept, and nothing
//! accepted is lost.

use std::time::Duration;

use nix::sys::signal::Signal;
use tests::child::send;
use tests::config::{self, STANDARD};
use tests::eventually::ensure;
use tests::ledger::Findings;
use tests::load::Load;
use tests::mix::{Kind, Mix};
use tests::random::Random;
use tests::sign::standard_request;
use tests::{Pipeline, Request, Role, eventually};

const PROMISED: Duration = Duration::from_secs(3);
/// The client's own work, on two busy cores.
const SLACK: Duration = Duration::from_millis(500);
const HEALED: Duration = Duration::from_mins(1);

fn message(n: u32) -> Request {
    standard_request(STANDARD, "orders", &format!("outage-{n}"), &format!("{{\"n\": {n}}}"))
}

/// It cannot be stored now: said in time, with when to come back.
async fn refused_in_time(pipeline: &Pipeline, numbers: std::ops::Range<u32>) {
    let requests: Vec<Request> = numbers.map(message).collect();
    let answers = futures::future::join_all(requests.iter().map(|request| pipeline.post(request))).await;
    for answer in &answers {
        answer.problem(503);
        assert!(answer.took <= PROMISED + SLACK, "{answer}");
        let seconds: u64 = answer.header("Retry-After").unwrap_or_default().parse().unwrap_or(0);
        assert!((1..=600).contains(&seconds), "Retry-After: {answer}");
    }
}

async fn healed(pipeline: &Pipeline, n: u32) {
    let answer = eventually(HEALED, "requests are accepted again", async || {
        let answer = pipeline.post(&message(n)).await;
        ensure(answer.status == 200, || answer.to_string()).map(|()| answer)
    })
    .await;
    let what = "the message is in one place";
    eventually(HEALED, what, async || {
        let rows = pipeline.database.of_request("messages", answer.id()).await.len();
        let repeats = pipeline.database.of_request("duplicates", answer.id()).await.len();
        ensure(rows + repeats == 1, || format!("{rows} rows, {repeats} duplicates"))
    })
    .await;
}

#[tokio::test]
async fn without_a_broker_there_is_a_503_within_three_seconds_and_never_a_promise() {
    let pipeline = Pipeline::start(&config::with_sources([config::signed("orders")])).await;
    healed(&pipeline, 0).await;

    // Frozen: the connection looks healthy.
    let nats = pipeline.run().pids.nats.unwrap();
    send(nats, Signal::SIGSTOP);
    refused_in_time(&pipeline, 1..21).await;
    let gateway = pipeline.admin_url(Role::Gateway);
    eventually(Duration::from_secs(15), "the gateway says that it is not ready", async || {
        let answer = Request::get("/readyz").send(&gateway).await.map_err(|error| error.to_string())?;
        ensure(answer.status == 503, || answer.to_string())
    })
    .await;
    assert_eq!(Request::get("/livez").send(&gateway).await.unwrap().status, 200, "live depends on nobody else");
    send(nats, Signal::SIGCONT);
    healed(&pipeline, 30).await;

    // Killed: `up` starts it again.
    send(nats, Signal::SIGSTOP);
    send(nats, Signal::SIGKILL);
    let answer = pipeline.post(&message(31)).await;
    assert!(answer.status == 503 || answer.status == 200, "{answer}");
    assert!(answer.took <= PROMISED + SLACK, "{answer}");
    healed(&pipeline, 32).await;
    let again = pipeline.run().pids.nats.unwrap();
    assert_ne!(again, nats, "run.json is kept current");
    pipeline.settled().await;
}

#[tokio::test]
async fn nats_and_postgresql_restarted_under_load_leave_the_ledger_exact() {
    let mut random = Random::seeded("outages");
    let pipeline = Pipeline::start(&config::with_sources([config::signed("orders")])).await;
    let load = Load::start(&pipeline.gateways(), &Mix::only(Kind::Webhook), 4, &mut random);
    load.more(40, HEALED).await;
    for _ in 0..2 {
        let pids = pipeline.run().pids;
        send(pids.nats.unwrap(), Signal::SIGKILL);
        load.more(60, HEALED).await;

        // The gateway needs no database: it goes on meanwhile.
        send(pids.postgres.unwrap(), Signal::SIGKILL);
        load.more(60, HEALED).await;
        eventually(HEALED, "another PostgreSQL runs", async || {
            let run = pipeline.up().run()?;
            ensure(run.pids.postgres != pids.postgres && run.pids.nats != pids.nats, || format!("{:?}", run.pids))
        })
        .await;
    }
    let deliveries = load.stop().await;
    pipeline.settled().await;
    Findings::of(&deliveries, &pipeline.database.endings("orders").await).assert_exact();
}

/// An alert by age has to fire where nobody can look, too.
#[tokio::test]
async fn a_backlog_that_nobody_can_look_at_goes_on_ageing() {
    let pipeline = Pipeline::by_hand(&config::with_sources([config::signed("orders")]), &[Role::Dedup]).await;
    let backlog = async || {
        let metrics = pipeline.scrape(Role::Dedup).await;
        let stage = [("stage", "dedup")];
        let age = metrics.sum("penstock_backlog_age_seconds", &stage).unwrap_or(f64::NAN);
        (age, metrics.sum("penstock_backlog_failures_total", &stage).unwrap_or(f64::NAN))
    };
    assert_eq!(backlog().await, (0.0, 0.0), "nothing waits, and that is known");
    let broker = pipeline.run().pids.nats.unwrap();
    send(broker, Signal::SIGSTOP);
    eventually(HEALED, "the age goes on", async || {
        let (age, failures) = backlog().await;
        ensure(age > 5.0 && failures > 0.0, || format!("{age} s, {failures} failures"))
    })
    .await;
    send(broker, Signal::SIGCONT);
    eventually(HEALED, "nothing waits, and that is known again", async || {
        let (age, _) = backlog().await;
        ensure(age == 0.0, || format!("{age} s"))
    })
    .await;
}

#[tokio::test]
async fn a_request_whose_client_hangs_up_is_counted_as_abandoned() {
    let pipeline = Pipeline::start(&config::with_sources([config::signed("orders")])).await;
    healed(&pipeline, 0).await;
    let abandoned = async || {
        let labels = [("source", "orders"), ("outcome", "abandoned")];
        pipeline.scrape(Role::Gateway).await.sum("penstock_gateway_requests_total", &labels)
    };
    assert_eq!(abandoned().await, Some(0.0), "it is there at zero");

    // Frozen, so that the request is still in hand when its client goes.
    let nats = pipeline.run().pids.nats.unwrap();
    send(nats, Signal::SIGSTOP);
    message(1).hang_up(&pipeline.gateways()[0]).await;
    let counted = eventually(HEALED, "the request is counted", async || {
        let abandoned = abandoned().await;
        ensure(abandoned == Some(1.0), || format!("{abandoned:?}"))
    });
    counted.await;
    send(nats, Signal::SIGCONT);
    healed(&pipeline, 2).await;
    pipeline.settled().await;
}
