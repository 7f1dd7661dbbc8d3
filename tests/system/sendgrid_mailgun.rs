//! Mails by SendGrid and Mailgun through the real door: messages, states, and a token that is used twice.

use serde_json::{Value, json};
use tests::config::MAILGUN;
use tests::sign::mailgun;
use tests::time::unix_seconds;
use tests::{Pipeline, Request};

use crate::shared;

/// A sample of SendGrid's with the signature it came with, its body changed on the way.
fn sample(file: &str, change: impl FnOnce(&mut Vec<u8>)) -> Request {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../providers/tests/data/payloads");
    let index: Value = serde_json::from_slice(&std::fs::read(format!("{folder}/index.json")).unwrap()).unwrap();
    let entry = index.as_array().unwrap().iter().find(|entry| entry["file"] == file).unwrap();
    let mut body = std::fs::read(format!("{folder}/{file}")).unwrap();
    change(&mut body);
    let request = Request::post("/v1/email/parse", body);
    let headers = entry["headers"].as_object().unwrap().iter();
    headers.fold(request, |request, (name, value)| request.header(name, value.as_str().unwrap()))
}

/// A mail as a route of Mailgun's posts it, signed at a time in seconds since 1970.
fn route(source: &str, signed_at: i64, token: &str, text: &str) -> Request {
    let headers = r#"[["From","Ida <ida@y.example>"],["To","in@x.example"],["Message-Id","<1@y.example>"]]"#;
    let mail = [
        ("recipient", "in@x.example"),
        ("sender", "ida@y.example"),
        ("body-plain", text),
        ("message-headers", headers),
    ];
    let triple = mailgun(MAILGUN, signed_at, token);
    let fields: Vec<(&str, &str)> =
        mail.into_iter().chain(triple.iter().map(|(name, value)| (*name, &**value))).collect();
    Request::form(format!("/v1/email/{source}"), &fields)
}

async fn message(pipeline: &Pipeline, request: &Request) -> Value {
    let answer = pipeline.post(request).await;
    pipeline.row("messages", answer.accepted()).await
}

#[tokio::test]
async fn a_mail_and_a_bounce_by_sendgrid_become_rows() {
    let pipeline = shared::pipeline().await;
    let row = message(&pipeline, &sample("sendgrid-parsed-boundary-lookalike.multipart", |_| {})).await;
    assert_eq!((&row["verified"], &row["text"]), (&json!("yes"), &json!("see file")), "{row:#}");
    assert_eq!(row["attachments"][0]["filename"], "tricky.txt", "{row:#}");
    assert_eq!(row["sender_address"], "ab6abe@harbour-mail.example", "{row:#}");

    let answer = pipeline.post(&sample("sendgrid-raw-dsn-bounce-failed.multipart", |_| {})).await;
    let row = pipeline.row("message_statuses", answer.accepted()).await;
    assert_eq!(
        (&row["kind"], &row["recipient"]),
        (&json!("bounce"), &json!("chiara.mantovani@tidewater.example.net")),
        "{row:#}"
    );

    // The provider may never come back after a 401, so what was changed is held.
    let changed = sample("sendgrid-parsed-text.multipart", |body| body.push(b'\n'));
    let answer = pipeline.post(&changed).await;
    assert_eq!((answer.status, &answer.json()["status"]), (200, &json!("held")), "{answer}");
}

#[tokio::test]
async fn a_mail_and_an_event_by_mailgun_become_rows() {
    let pipeline = shared::pipeline().await;
    let row = message(&pipeline, &route("route", unix_seconds(), "t1", "hello")).await;
    assert_eq!((&row["verified"], &row["text"]), (&json!("yes"), &json!("hello")), "{row:#}");
    assert_eq!(row["metadata"]["envelope_to"], "in@x.example", "{row:#}");

    let triple: serde_json::Map<String, Value> = mailgun(MAILGUN, unix_seconds(), "t2")
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    let event = json!({ "event": "delivered", "id": "e1", "timestamp": 1_785_564_405.75, "recipient": "jo@y.example",
        "message": { "headers": { "message-id": "m@x.example" } } });
    let event = json!({ "signature": triple, "event-data": event }).to_string();
    let answer = pipeline.post(&Request::json("/v1/email/route", event)).await;
    let row = pipeline.row("message_statuses", answer.accepted()).await;
    assert_eq!((&row["status"], &row["recipient"]), (&json!("delivered"), &json!("jo@y.example")), "{row:#}");

    let wrong = Request::form("/v1/email/route", &[("timestamp", "1"), ("token", "t"), ("signature", "00")]);
    pipeline.post(&wrong).await.problem(401);
}

#[tokio::test]
async fn a_token_is_believed_with_one_mail_and_answered_with_200_always() {
    let pipeline = shared::pipeline().await;
    // A token is used with the second it was signed in: the forger has both.
    let signed_at = unix_seconds();
    let real = route("token", signed_at, "once", "pay 10");
    let row = message(&pipeline, &real).await;
    assert_eq!(row["verified"], "yes", "{row:#}");
    // The same again is what a retry is; signed anew it is the same mail, too.
    pipeline.post(&real).await.accepted();
    pipeline.post(&route("token", unix_seconds(), "anew", "pay 10")).await.accepted();

    let forged = message(&pipeline, &route("token", signed_at, "once", "pay 1000")).await;
    assert_eq!((&forged["verified"], &forged["text"]), (&json!("no"), &json!("pay 1000")), "{forged:#}");
    assert_eq!(forged["metadata"]["token"], row["metadata"]["token"]);
    let rows = pipeline.rows("token", 2, 2).await;
    assert!(rows.iter().any(|row| row["verified"] == "yes" && row["text"] == "pay 10"), "{rows:#?}");
}
