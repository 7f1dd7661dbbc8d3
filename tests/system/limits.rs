//! Limits: per client address, per source, and for failed authentications; who is over one is told when to come back.

use std::time::Duration;

use futures::future::join_all;
use tests::config::{HASH_KEY, STANDARD, TWILIO};
use tests::eventually::{ensure, eventually};
use tests::sign::{standard_request, twilio_request};
use tests::{Answer, Request, child};

use crate::shared;

/// What a 429 has to say (and an answer over the limit of a source).
#[track_caller]
fn tells_the_limit(answer: &Answer) {
    answer.problem(429);
    let seconds: u64 = answer.header("Retry-After").unwrap_or_default().parse().unwrap_or(0);
    assert!(seconds >= 1, "Retry-After: {answer}");
    for name in ["RateLimit", "RateLimit-Policy", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"] {
        assert!(answer.header(name).is_some_and(|value| !value.is_empty()), "{name}: {answer}");
    }
    let number = |name| answer.header(name).and_then(|text| text.parse::<u64>().ok());
    assert_eq!(number("X-RateLimit-Remaining"), Some(0), "{answer}");
    assert!(number("X-RateLimit-Limit") >= Some(1), "{answer}");
}

fn statuses(answers: &[Answer]) -> (usize, usize) {
    let count = |status| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!(
        count(200) + count(401) + count(429),
        answers.len(),
        "{:?}",
        answers.iter().map(|a| a.status).collect::<Vec<_>>()
    );
    (answers.len() - count(429), count(429))
}

#[tokio::test]
async fn one_address_has_its_budget_and_the_others_have_theirs() {
    let pipeline = shared::pipeline().await;
    let from = |address: &str, n: usize| {
        Request::json("/v1/form/addresses", format!(r#"{{"message": "{address} {n}"}}"#)).from(address)
    };
    // The burst is 20, and 1 comes back each second.
    let requests: Vec<Request> = (0..60).map(|n| from("192.0.2.1", n)).collect();
    let answers = join_all(requests.iter().map(|request| pipeline.post(request))).await;
    let (taken, refused) = statuses(&answers);
    assert!((20..40).contains(&taken) && refused >= 20, "{taken} taken, {refused} refused");
    answers.iter().filter(|answer| answer.status == 429).for_each(tells_the_limit);
    pipeline.post(&from("192.0.2.2", 0)).await.accepted();
}

#[tokio::test]
async fn the_address_is_the_right_most_that_is_no_proxy_of_ours() {
    let pipeline = shared::pipeline().await;
    // What stands left of it was written by the client, who could name anybody.
    let requests: Vec<Request> = (0..60)
        .map(|n| {
            Request::json("/v1/form/addresses", r#"{"message": "x"}"#)
                .from(&format!("198.51.100.{n}, 192.0.2.3, 127.0.0.1"))
        })
        .collect();
    let answers = join_all(requests.iter().map(|request| pipeline.post(request))).await;
    let (_, refused) = statuses(&answers);
    assert!(refused >= 20, "{refused} refused");
}

#[tokio::test]
async fn failed_authentications_of_one_address_are_limited() {
    let pipeline = shared::pipeline().await;
    let wrong = || Request::json("/v1/webhook/signed", r#"{"message": "x"}"#).from("192.0.2.4");
    let mut answers = Vec::new();
    for _ in 0..12 {
        answers.push(pipeline.post(&wrong()).await);
    }
    let (failed, refused) = statuses(&answers);
    assert!((5..8).contains(&failed) && refused >= 4, "{failed} failed, {refused} refused");
    tells_the_limit(answers.last().unwrap());
    // The source itself has lost nothing.
    pipeline.post(&standard_request(STANDARD, "signed", "limits-1", r#"{"message": "x"}"#)).await.accepted();
}

#[tokio::test]
async fn strangers_do_not_eat_the_budget_of_a_source() {
    let pipeline = shared::pipeline().await;
    for _ in 0..10 {
        pipeline.post(&Request::json("/v1/webhook/limited", "{}")).await.problem(401);
    }
    let mut answers = Vec::new();
    for n in 0..12 {
        answers.push(pipeline.post(&standard_request(STANDARD, "limited", &format!("m{n}"), "{}")).await);
    }
    let (taken, refused) = statuses(&answers);
    assert!((3..9).contains(&taken) && refused >= 3, "{taken} taken, {refused} refused");
    answers.iter().filter(|answer| answer.status == 429).for_each(tells_the_limit);
}

#[tokio::test]
async fn a_source_that_is_not_tried_again_is_accepted_up_to_ten_times_the_limit() {
    let pipeline = shared::pipeline().await;
    let requests: Vec<Request> =
        (0..80).map(|n| standard_request(STANDARD, "lenient", &format!("m{n}"), &format!("{{\"n\": {n}}}"))).collect();
    let answers = join_all(requests.iter().map(|request| pipeline.post(request))).await;
    let (taken, refused) = statuses(&answers);
    // The limit is a burst of 3 and 1 a second, so 30 and 10 a second are taken.
    assert!((25..65).contains(&taken) && refused >= 10, "{taken} taken, {refused} refused");
}

#[tokio::test]
async fn what_is_only_observed_is_over_a_limit_as_its_provider_can_bear_it() {
    let pipeline = shared::pipeline().await;
    let requests: Vec<Request> = (0..80)
        .map(|n| twilio_request("a wrong token", "tried-out", &[("MessageSid", &format!("SM{n}")), ("Body", "hi")]))
        .collect();
    let answers = join_all(requests.iter().map(|request| pipeline.post(request))).await;
    let count = |status| answers.iter().filter(|answer| answer.status == status).count();
    // As with a good signature: ten times the limit is taken, and beyond it is 503, since a 429 would be the end.
    let (taken, refused) = (count(200), count(503));
    assert_eq!(taken + refused, 80, "{:?}", answers.iter().map(|answer| answer.status).collect::<Vec<_>>());
    assert!((25..65).contains(&taken) && refused >= 10, "{taken} taken, {refused} refused");
    // It has cost the real sender nothing.
    let real = pipeline.post(&twilio_request(TWILIO, "tried-out", &[("MessageSid", "SM-real"), ("Body", "hi")])).await;
    assert_eq!(real.status, 200, "{real}");
}

/// As docs/configuration.md says to make one by hand.
fn pseudonym(address: &str) -> String {
    let key = blake3::derive_key("penstock client pseudonym v1", HASH_KEY.as_bytes());
    format!("p:{}", &blake3::keyed_hash(&key, address.as_bytes()).to_hex()[..16])
}

#[tokio::test]
async fn a_client_over_its_limit_is_told_by_its_pseudonym() {
    let pipeline = shared::pipeline().await;
    // Of each trouble there is one line a second, whoever is in it: so it goes on until this one had its turn.
    for (address, as_text, says) in [
        ("192.0.2.77", "192.0.2.77", "a client is over its limit"),
        ("192.0.2.78", "192.0.2.78", "a signature is wrong"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::", "a signature is wrong"),
    ] {
        let request = if says == "a signature is wrong" {
            twilio_request("a wrong token", "enforced", &[("Body", "x")])
        } else {
            Request::json("/v1/form/addresses", r#"{"message": "x"}"#)
        };
        let (request, client) = (request.from(address), pseudonym(as_text));
        eventually(Duration::from_mins(1), &format!("{says}, of {client}"), async || {
            join_all((0..25).map(|_| pipeline.post(&request))).await;
            let log = child::read(&pipeline.logs().join("gateway-1.log"));
            let line = |line: &str| line.contains(says) && line.contains(&client);
            ensure(log.lines().any(line), || format!("no such line in {}", pipeline.logs().display()))?;
            ensure(!log.contains(address), || format!("{address} is in {}", pipeline.logs().display()))
        })
        .await;
    }
}
