//! The limit of a source holds for all gateways together: no more than it lets in however many there are, and no less where
//! only one of them is asked.

use std::time::Duration;

use futures::future::join_all;
use serde_json::json;
use tests::eventually::{ensure, eventually};
use tests::scrape::Metrics;
use tests::{Pipeline, Request, Role, config};
use tokio::time::{Instant, sleep_until};

const PER_SECOND: f64 = 40.0;
const BURST: f64 = 80.0;
/// How long more is sent than the limit lets in.
const FLOOD: Duration = Duration::from_secs(8);
/// At each gateway, one request after the other.
const SENDERS: usize = 6;
/// Between two requests of a sender.
const PACE: Duration = Duration::from_millis(20);
const SOON: Duration = Duration::from_secs(20);
/// Runs, where the machine has so much else to do that NATS answers late.
const TRIES: usize = 4;

/// Three gateways, and one each of what is behind them.
async fn three_gateways() -> Pipeline {
    let limit = format!("limit = {{ per_second = {PER_SECOND}, burst = {BURST} }}");
    let config = config::with_sources([config::source("form", "generic", "limited", &limit)]);
    let roles: Vec<Role> = [Role::Gateway; 2].into_iter().chain(Role::ALL).collect();
    let mut pipeline = Pipeline::by_hand(&config, &roles).await;
    for gateway in pipeline.role_list().iter_mut().filter(|process| process.role == Role::Gateway) {
        let url = gateway.admin_url();
        eventually(SOON, "it hears the two others", async || {
            let known = Metrics::of(&url).await?.sum("penstock_gateway_gateways", &[]);
            ensure(known == Some(3.0), || format!("{known:?}"))
        })
        .await;
    }
    pipeline
}

/// What was let in at each gateway, of more than the limit sent to each of these.
async fn flood(gateways: &[String]) -> (Vec<usize>, f64) {
    let begun = Instant::now();
    let sender = async |gateway: usize, number: usize| {
        let (mut taken, mut sent, mut next) = (0, 0, begun);
        while begun.elapsed() < FLOOD {
            // The limit of an address is another one.
            sent += 1;
            let address = format!("11.{}.{}.{}", gateway * SENDERS + number, sent / 250, sent % 250);
            let request = Request::json("/v1/form/limited", r#"{"message": "x"}"#).from(&address);
            let answer = request.send(&gateways[gateway]).await.expect("an answer");
            assert!([200, 429].contains(&answer.status), "{answer}");
            taken += usize::from(answer.status == 200);
            next += PACE;
            sleep_until(next).await;
        }
        taken
    };
    let at = async |gateway| {
        let all = (0..SENDERS).map(|number| sender(gateway, number));
        join_all(all).await.into_iter().sum::<usize>()
    };
    let taken = join_all((0..gateways.len()).map(at)).await;
    (taken, begun.elapsed().as_secs_f64())
}

/// The same, not counting a run in which NATS took too long to be asked: what shares let in beside leases is another promise.
async fn flood_by_leases(pipeline: &mut Pipeline, gateways: &[String]) -> (Vec<usize>, f64) {
    let mut tries = 0;
    loop {
        let before = by_share(pipeline).await;
        let (taken, seconds) = flood(gateways).await;
        if by_share(pipeline).await <= before {
            return (taken, seconds);
        }
        println!("{taken:?}: a gateway kept to its share for a while");
        tries += 1;
        assert!(tries < TRIES, "in {TRIES} runs NATS took longer than a lease may take");
        full_again().await;
    }
}

/// Waits as long as an empty bucket takes to fill up.
async fn full_again() {
    tokio::time::sleep(Duration::from_secs_f64(BURST / PER_SECOND) + Duration::from_secs(1)).await;
}

/// Requests that gateways have decided by their share.
async fn by_share(pipeline: &mut Pipeline) -> f64 {
    let mut all = 0.0;
    for gateway in pipeline.role_list().iter_mut().filter(|process| process.role == Role::Gateway) {
        let metrics = Metrics::of(&gateway.admin_url()).await.unwrap();
        all += metrics.sum("penstock_gateway_limit_share_total", &[]).expect("it is there from the start");
    }
    all
}

/// Of what a bucket of the limit lets in, in percent.
fn percent(taken: usize, seconds: f64) -> f64 {
    100.0 * f64::from(u32::try_from(taken).unwrap()) / (BURST + PER_SECOND * seconds)
}

#[tokio::test]
async fn three_gateways_let_in_what_one_would_and_one_of_them_alone_as_much() {
    let mut pipeline = three_gateways().await;
    let gateways = pipeline.gateways();
    let (taken, seconds) = flood_by_leases(&mut pipeline, &gateways).await;
    let all = percent(taken.iter().sum(), seconds);
    println!("{taken:?} at three gateways in {seconds:.1} s: {all:.0} %");
    assert!((90.0..=105.0).contains(&all), "{taken:?} in {seconds} s are {all:.1} % of the limit");
    assert!(taken.iter().all(|taken| *taken > 0), "nobody is shut out: {taken:?}");

    full_again().await;
    let (taken, seconds) = flood_by_leases(&mut pipeline, &gateways[..1]).await;
    let one = percent(taken[0], seconds);
    println!("{taken:?} at one of them in {seconds:.1} s: {one:.0} %");
    assert!((90.0..=105.0).contains(&one), "{taken:?} in {seconds} s are {one:.1} % of the limit");
}

#[tokio::test]
async fn where_the_counters_are_away_each_gateway_keeps_to_its_share() {
    let pipeline = three_gateways().await;
    pipeline.broker.api("STREAM.DELETE.LIMITS", json!({})).await.unwrap();
    let gateways = pipeline.gateways();
    let (taken, seconds) = flood(&gateways).await;
    let all = percent(taken.iter().sum(), seconds);
    println!("{taken:?} in {seconds:.1} s: {all:.0} %");
    assert!(all <= 105.0, "{taken:?} in {seconds} s are {all:.1} % of the limit");
    assert!(taken.iter().all(|taken| percent(*taken, seconds) > 25.0), "a third each: {taken:?} in {seconds} s");
    let told = pipeline.scrape(Role::Gateway).await.sum("penstock_gateway_limit_share_total", &[]);
    assert!(told > Some(0.0), "{told:?}");

    // Provisioned again, it is one limit again.
    pipeline.command(&["provision"]).await;
    let granted = async || {
        pipeline.scrape(Role::Gateway).await.sum("penstock_gateway_limit_leases_total", &[("result", "granted")])
    };
    let before = granted().await;
    eventually(SOON, "leases are granted again", async || {
        pipeline.post(&Request::json("/v1/form/limited", r#"{"message": "x"}"#).from("192.0.2.77")).await;
        let now = granted().await;
        ensure(now > before, || format!("{now:?} as before"))
    })
    .await;
}
