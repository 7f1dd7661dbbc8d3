//! A wrong signature where the provider never sends again: put aside, not lost.

use std::time::Duration;

use tests::config::{self, GITHUB, TWILIO};
use tests::sign::{github_request, twilio_request, vonage_messages_request};
use tests::{Pipeline, Request, Role};

use crate::journey::security_headers;
use crate::shared;

const FIELDS: [(&str, &str); 4] =
    [("MessageSid", "SM1"), ("From", "+14155551438"), ("To", "+14155553237"), ("Body", "held back")];

#[tokio::test]
async fn a_wrong_signature_is_held_by_default_where_a_401_is_final() {
    let pipeline = shared::pipeline().await;
    let answer = pipeline.post(&twilio_request("a wrong token", "held", &FIELDS)).await;
    assert_eq!(answer.status, 200, "{answer}");
    assert!(answer.header("Penstock-Stored").is_none_or(|place| place.starts_with("HELD/")), "not in RAW: {answer}");
    security_headers(&answer);
    let held = pipeline.broker.last("HELD", "held.sms.held").await.unwrap();
    assert_eq!(held.headers.get("Penstock-Id").map(|id| id.as_str().to_owned()), Some(answer.id().to_string()));
    assert_eq!(held.payload, tests::sign::urlencoded(&FIELDS).as_bytes(), "the body is kept exactly");

    // One that is right goes its way past it.
    let right = pipeline.post(&twilio_request(TWILIO, "held", &FIELDS)).await;
    pipeline.row("messages", right.id()).await;
    assert!(pipeline.database.of_request("messages", answer.id()).await.is_empty());
}

#[tokio::test]
async fn a_held_request_says_so() {
    let pipeline = shared::pipeline().await;
    let request = github_request("wrong", "github", "7f0e9c4e-0000-4000-8000-000000000001", r#"{"message": "x"}"#);
    let answer = pipeline.post(&request).await;
    assert_eq!((answer.status, &answer.json()["status"]), (200, &"held".into()), "{answer}");
    assert_eq!(answer.json()["id"], answer.id().to_string());
    let right = github_request(GITHUB, "github", "7f0e9c4e-0000-4000-8000-000000000002", r#"{"message": "x"}"#);
    pipeline.post(&right).await.accepted();
}

#[tokio::test]
async fn an_unsigned_request_over_the_inline_limit_is_not_held() {
    let pipeline = shared::pipeline().await;
    let body = format!(r#"{{"message": "{}"}}"#, "x".repeat(600 * 1024));
    let request = Request::json("/v1/webhook/github", body).header("X-GitHub-Event", "issues");
    pipeline.post(&request).await.problem(401);
}

/// A wrong secret on our side costs nothing: what was held is checked again with the right one.
#[tokio::test]
async fn what_was_held_is_let_in_when_it_fits_today_s_secrets() {
    let sources = |token: &str| {
        let secrets = format!("secrets = [{{ value = \"{token}\" }}]\n");
        let source = |provider: &str, name: &str| config::source("sms", provider, name, &secrets);
        config::with_sources([source("twilio", "held"), source("vonage-messages", "held-token")])
    };
    let mut pipeline = Pipeline::by_hand(&sources("mistyped-in-our-configuration"), &Role::ALL).await;
    let real = pipeline.post(&twilio_request(TWILIO, "held", &FIELDS)).await;
    let forged =
        pipeline.post(&twilio_request("nobody's token", "held", &[("MessageSid", "SM2"), ("Body", "forged")])).await;
    // A signature in the place of a credential is none the less one.
    let text = r#"{"message_uuid": "u-1", "message_type": "text", "text": "held back"}"#;
    let token = pipeline.post(&vonage_messages_request(TWILIO, "held-token", text)).await;
    for answer in [&real, &forged, &token] {
        assert_eq!(answer.json()["status"], "held", "{answer}");
    }

    std::fs::write(pipeline.config(), sources(TWILIO)).unwrap();
    for role in [Role::Normalizer, Role::Gateway] {
        pipeline.role(role).stop(Duration::from_secs(30)).await;
        pipeline.role(role).start_again();
        pipeline.role(role).ready().await;
    }
    // It ends with 1 where something stays.
    let output = pipeline.try_command(&["held", "release", "--all"]).await;
    assert!(!output.status.success(), "{output:?}");
    for answer in [&real, &token] {
        let row = pipeline.row("messages", answer.id()).await;
        assert_eq!((&row["verified"], &row["text"]), (&"yes".into(), &"held back".into()), "{row:#}");
    }
    pipeline.settled().await;
    assert!(pipeline.database.of_request("messages", forged.id()).await.is_empty());
    assert_eq!(pipeline.broker.count("HELD", "held.sms.held").await, 1, "what does not fit stays");

    pipeline.command(&["held", "release", "--all", "--unverified"]).await;
    let row = pipeline.row("messages", forged.id()).await;
    assert_eq!((&row["verified"], &row["text"]), (&"no".into(), &"forged".into()), "{row:#}");
    assert_eq!(pipeline.broker.count("HELD", "held.sms.held").await, 0);
    // A second release finds nothing and changes nothing.
    pipeline.command(&["held", "release", "--all", "--unverified"]).await;
    pipeline.settled().await;
    assert_eq!(pipeline.database.rows("messages", "held").await.len(), 2);
}

/// The broker would throw the oldest away without a word: they were answered with 200.
#[tokio::test]
async fn a_lower_limit_throws_nothing_away_that_is_held() {
    let config = |most: usize| {
        let secrets = format!("secrets = [{{ value = \"{TWILIO}\" }}]\n");
        format!(
            "hold.max_messages = {most}\n{}",
            config::with_sources([config::source("sms", "twilio", "held", &secrets)])
        )
    };
    let pipeline = Pipeline::by_hand(&config(10), &[Role::Gateway]).await;
    for _ in 0..3 {
        assert_eq!(pipeline.post(&twilio_request("a wrong token", "held", &FIELDS)).await.status, 200);
    }
    assert_eq!(pipeline.broker.count("HELD", "held.sms.held").await, 3);
    std::fs::write(pipeline.config(), config(2)).unwrap();
    let refused = pipeline.try_command(&["provision"]).await;
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(
        !refused.status.success() && told.contains("held.sms.held") && told.contains("hold.max_messages"),
        "{told}"
    );
    assert_eq!(pipeline.broker.count("HELD", "held.sms.held").await, 3, "nothing is lost");
    std::fs::write(pipeline.config(), config(3)).unwrap();
    pipeline.command(&["provision"]).await;
    assert_eq!(pipeline.broker.count("HELD", "held.sms.held").await, 3);
}
