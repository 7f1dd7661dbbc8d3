//! What can never succeed goes to one side, and what is behind it goes on.

use std::time::Duration;

use nix::sys::signal::Signal;
use proto::canonical::SCHEMA_VERSION;
use proto::envelope::Pairs;
use proto::subject::{self, SourceName};
use proto::{
    CanonicalMessage, Channel, HashKey, KeyHasher, Kind, Millis, RawEnvelope, RecordEnvelope, Stage, Verified, id,
};
use serde_json::Value;
use serde_json::value::RawValue;
use tests::eventually::ensure;
use tests::{Pipeline, Role, config, eventually};
use uuid::Uuid;

use crate::shared;

const SOON: Duration = Duration::from_mins(1);

fn source() -> SourceName {
    SourceName::parse("poison").unwrap()
}

/// A record as the normalizer writes them, and its envelope.
fn record(request: Uuid, received_at: Millis, text: &str) -> (CanonicalMessage, RecordEnvelope) {
    let id = id::record_id(received_at, request, 0);
    let message = CanonicalMessage {
        id,
        schema_version: SCHEMA_VERSION,
        normalizer_version: 1,
        request_id: request,
        part: 0,
        parts: 1,
        channel: Channel::Webhook,
        source: source().to_string(),
        provider: "none".into(),
        verified: Verified::None,
        kind: Kind::Message,
        provider_message_id: None,
        conversation: None,
        sender: None,
        recipients: vec![],
        subject: None,
        text: Some(text.into()),
        html: None,
        attachments: vec![],
        reply_to_id: None,
        references: vec![],
        sent_at: None,
        received_at,
        metadata: RawValue::from_string("{}".into()).unwrap(),
        truncations: vec![],
        raw_sequence: 1,
        status: None,
    };
    let envelope = RecordEnvelope {
        request_id: request,
        part: 0,
        record: id,
        key: KeyHasher::new(&HashKey::derive(b"poison")).part(request.as_bytes()).finish(),
        channel: Channel::Webhook,
        source: source(),
        received_at,
        replay: None,
        dedup: None,
        body: None,
        traceparent: None,
    };
    (message, envelope)
}

fn now() -> Millis {
    Millis::from_unix(tests::time::unix_millis()).unwrap()
}

async fn put(pipeline: &Pipeline, envelope: &RecordEnvelope, payload: Vec<u8>) {
    let subject = subject::canonical(Channel::Webhook, &source());
    pipeline.broker.publish(&subject, &envelope.to_pairs(), payload).await;
}

/// The row of what was given up on.
async fn dead(pipeline: &Pipeline, request: Uuid, stage: Stage) -> Value {
    let row = pipeline.row("dead_letters", request).await;
    assert_eq!(row["stage"], stage.as_str(), "{row:#}");
    assert_eq!((&row["channel"], &row["source"]), (&"webhook".into(), &"poison".into()), "{row:#}");
    assert!(row["closed_at"].is_null(), "{row:#}");
    assert!(!row["reason"].as_str().unwrap().is_empty(), "{row:#}");
    row
}

#[tokio::test]
async fn in_the_middle_of_a_batch_it_takes_none_with_it() {
    let pipeline = shared::pipeline().await;
    let (received_at, mut good, mut bad) = (now(), Vec::new(), Vec::new());
    for number in 0..60_u8 {
        let request = id::request_id(received_at, [1, number, 0, 0, 0, 0, 0, 0, 0, 1]);
        let (message, envelope) = record(request, received_at, &format!("good {number}"));
        let mut payload = serde_json::to_vec(&message).unwrap();
        match number {
            // PostgreSQL refuses the whole statement for this one.
            20 => payload = String::from_utf8(payload).unwrap().replace("good", "\\u0000").into_bytes(),
            30 => payload.truncate(40),
            40 => payload = b"[]".to_vec(),
            _ => {}
        }
        if [20, 30, 40].contains(&number) { &mut bad } else { &mut good }.push(request);
        put(&pipeline, &envelope, payload).await;
    }
    for request in good {
        pipeline.row("messages", request).await;
    }
    for request in bad {
        let row = dead(&pipeline, request, Stage::Persister).await;
        let id: Uuid = row["id"].as_str().unwrap().parse().unwrap();
        let subject = subject::dead_letter(Stage::Persister, Channel::Webhook, &source(), id);
        assert_eq!(pipeline.broker.count("DLQ", &subject).await, 1, "the content is kept in DLQ");
        assert!(pipeline.database.of_request("messages", request).await.is_empty());
    }
}

#[tokio::test]
async fn what_is_not_ours_is_put_aside_by_every_stage() {
    let pipeline = shared::pipeline().await;
    let nothing: Pairs = vec![];
    // Whoever may publish to RAW can make the broker publish an acknowledgement anywhere, by a reply subject.
    let acknowledgement = r#"{"stream":"RAW","seq":1}"#;
    for (stage, subject) in [
        (Stage::Normalizer, "raw.webhook.strays"),
        (Stage::Dedup, "canonical.webhook.strays"),
        (Stage::Persister, "duplicate.webhook.strays"),
    ] {
        pipeline.broker.publish(subject, &nothing, acknowledgement).await;
        eventually(SOON, &format!("a dead letter for what was on {subject}"), async || {
            let found = pipeline.broker.count("DLQ", &format!("dlq.{stage}.webhook.strays.*")).await;
            ensure(found == 1, || format!("{found} dead letters"))
        })
        .await;
    }
    // A subject of UNIQUE says nothing of a channel and a source, so there is no place for this one in DLQ.
    pipeline.broker.publish("unique.0.feed", &nothing, acknowledgement).await;
    // And each of them goes on.
    let received_at = now();
    let request = id::request_id(received_at, [2; 10]);
    let (message, envelope) = record(request, received_at, "after the strangers");
    put(&pipeline, &envelope, serde_json::to_vec(&message).unwrap()).await;
    pipeline.row("messages", request).await;
    let answer = pipeline.post(&tests::Request::json("/v1/webhook/poison", r#"{"message": "still here"}"#)).await;
    pipeline.row("messages", answer.accepted()).await;
}

#[tokio::test]
async fn a_request_of_a_source_that_is_gone_is_a_dead_letter_of_its_own() {
    let pipeline = shared::pipeline().await;
    let received_at = now();
    let envelope = RawEnvelope {
        id: id::request_id(received_at, [3; 10]),
        received_at,
        method: "POST".into(),
        query: None,
        provider: "no-such-provider".into(),
        verified: Verified::None,
        headers: vec![],
        body: None,
        replay: None,
        traceparent: None,
    };
    pipeline.broker.publish("raw.webhook.poison", &envelope.to_pairs(), "{}").await;
    dead(&pipeline, envelope.id, Stage::Normalizer).await;
}

#[tokio::test]
async fn a_record_of_another_month_finds_its_partition_made() {
    let pipeline = shared::pipeline().await;
    let day: i64 = 24 * 60 * 60 * 1000;
    for (number, days) in [-100, 100].into_iter().enumerate() {
        let received_at = Millis::from_unix(now().as_unix() + days * day).unwrap();
        let request = id::request_id(received_at, [4, u8::try_from(number).unwrap(), 0, 0, 0, 0, 0, 0, 0, 0]);
        let (message, envelope) = record(request, received_at, "another month");
        put(&pipeline, &envelope, serde_json::to_vec(&message).unwrap()).await;
        let row = pipeline.row("messages", request).await;
        let stored: Millis = row["received_at"].as_str().unwrap().parse().unwrap();
        assert_eq!(stored, received_at);
    }
}

#[tokio::test]
async fn a_newer_schema_waits_for_a_newer_persister() {
    let mut pipeline = Pipeline::by_hand(
        &config::with_sources([config::source("webhook", "none", "poison", "")]),
        &[Role::Dedup, Role::Persister],
    )
    .await;
    let received_at = now();
    let [newer, ours] = [5, 6].map(|n| id::request_id(received_at, [n; 10]));
    let (mut message, envelope) = record(newer, received_at, "from the future");
    message.schema_version = SCHEMA_VERSION + 1;
    put(&pipeline, &envelope, serde_json::to_vec(&message).unwrap()).await;
    let (message, envelope) = record(ours, received_at, "from today");
    put(&pipeline, &envelope, serde_json::to_vec(&message).unwrap()).await;

    pipeline.row("messages", ours).await;
    for table in ["messages", "dead_letters"] {
        assert!(pipeline.database.of_request(table, newer).await.is_empty(), "{table}");
    }
    let waiting = pipeline.broker.consumer("UNIQUE", "persister").await.unwrap();
    let left = waiting["num_ack_pending"].as_u64().unwrap() + waiting["num_pending"].as_u64().unwrap();
    assert_eq!(left, 1, "it waits: {waiting:#}");
    pipeline.may_be_unsettled();
}

/// Changes a property of a stream behind everybody's back.
async fn alter(pipeline: &Pipeline, stream: &str, property: &str, value: u64) {
    let mut config = pipeline.broker.stream(stream).await["config"].clone();
    config[property] = value.into();
    pipeline.broker.api(&format!("STREAM.UPDATE.{stream}"), config).await.unwrap();
}

#[tokio::test]
async fn a_dead_letter_for_what_the_broker_refuses_has_the_body_put_again_before_it() {
    let source = config::source("webhook", "none", "poison", config::UNLIMITED);
    let roles = [Role::Gateway, Role::Normalizer];
    let mut pipeline = Pipeline::by_hand(&config::with_sources([source]), &roles).await;
    pipeline.may_be_unsettled();
    // No record fits, whatever its payload is; and what BODIES had before this it stores again.
    alter(&pipeline, "CANONICAL", "max_msg_size", 100).await;
    let forgets = Duration::from_millis(100);
    alter(&pipeline, "BODIES", "duplicate_window", 100_000_000).await;

    pipeline.role(Role::Normalizer).child().signal(Signal::SIGSTOP);
    let request = tests::Request::post("/v1/webhook/poison", vec![7; 600 * 1024]);
    let request = request.header("content-type", "application/octet-stream");
    let id = pipeline.post(&request).await.accepted();
    let body = format!("body.{id}");
    assert_eq!(pipeline.broker.count("BODIES", &body).await, 2, "two chunks");
    tokio::time::sleep(2 * forgets).await;
    pipeline.role(Role::Normalizer).child().signal(Signal::SIGCONT);

    eventually(SOON, "a dead letter for the record", async || {
        let found = pipeline.broker.count("DLQ", "dlq.normalizer.webhook.poison.*").await;
        ensure(found == 1, || format!("{found} dead letters"))
    })
    .await;
    assert_eq!(pipeline.broker.count("BODIES", &body).await, 4, "the letter is not older than the body it refers to");
}

#[tokio::test]
async fn what_was_given_up_on_is_tried_again_when_its_cause_is_gone() {
    let source = config::source("webhook", "none", "poison", config::UNLIMITED);
    let pipeline = Pipeline::by_hand(&config::with_sources([source]), &Role::ALL).await;
    // The same SQLSTATE as a missing partition, which is made; this one only a person can mend.
    let constraint = "ALTER TABLE messages ADD CONSTRAINT canary CHECK (text IS DISTINCT FROM 'message 5')";
    pipeline.database.execute(constraint).await;
    let mut requests = Vec::new();
    for n in 0..10 {
        let request = tests::Request::json("/v1/webhook/poison", format!(r#"{{"message": "message {n}"}}"#));
        requests.push(pipeline.post(&request).await.accepted());
    }
    let refused = requests[5];
    let entry = dead(&pipeline, refused, Stage::Persister).await;
    pipeline.settled().await;
    pipeline.rows("poison", 9, 0).await;
    // Trying again too early changes nothing.
    pipeline.try_command(&["dlq", "replay", "--all", "--wait", "1s"]).await;
    pipeline.settled().await;
    dead(&pipeline, refused, Stage::Persister).await;
    pipeline.rows("poison", 9, 0).await;

    pipeline.database.execute("ALTER TABLE messages DROP CONSTRAINT canary").await;
    pipeline.command(&["dlq", "replay", "--all"]).await;
    let row = pipeline.row("messages", refused).await;
    assert_eq!((&row["text"], &row["id"]), (&"message 5".into(), &entry["id"]), "{row:#}");
    let closed = eventually(SOON, "the entry is closed", async || {
        let rows = pipeline.database.of_request("dead_letters", refused).await;
        ensure(rows.len() == 1 && rows[0]["closed_at"].is_string(), || format!("{rows:#?}")).map(|()| rows[0].clone())
    })
    .await;
    assert!(closed["closed_by"].is_string(), "it says by what: {closed:#}");
    eventually(SOON, "and it is taken out of DLQ", async || {
        let left = pipeline.broker.count("DLQ", "dlq.>").await;
        ensure(left == 0, || format!("{left} left"))
    })
    .await;
}
