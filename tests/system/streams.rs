//! The broker as the contract has it: what safety rests on is as it is written there, and nothing is left behind.

use std::time::Duration;

use serde_json::{Value, json};
use tests::broker::{AUDIT, CONSUMERS};
use tests::eventually::ensure;
use tests::role::RoleProcess;
use tests::{Pipeline, Request, Role, config, eventually};

use crate::shared;

const STREAMS: [(&str, &str, i64); 8] = [
    ("RAW", "raw.>", -1),
    ("BODIES", "body.>", -1),
    ("HELD", "held.>", 10_000),
    ("REPLAY", "replay.raw.>", -1),
    ("CANONICAL", "canonical.>", -1),
    ("UNIQUE", "unique.>", 1),
    ("DUPLICATES", "duplicate.>", -1),
    ("DLQ", "dlq.>", 1),
];

#[tokio::test]
async fn every_stream_is_as_the_contract_says() {
    let pipeline = shared::pipeline().await;
    for (name, subject, per_subject) in STREAMS {
        let config = pipeline.broker.stream(name).await["config"].clone();
        let subjects = config["subjects"].as_array().unwrap();
        let root = subject.trim_end_matches('>');
        assert!(subjects.iter().all(|found| found.as_str().unwrap().starts_with(root)), "{name}: {config:#}");
        let expected = json!({
            "storage": "file", "retention": "limits", "discard": "new", "max_age": 0,
            "duplicate_window": 120_000_000_000_u64, "max_msgs_per_subject": per_subject,
        });
        for (key, value) in expected.as_object().unwrap() {
            assert_eq!(config.get(key).unwrap_or(&Value::Null), value, "{key} of {name}: {config:#}");
        }
        assert!(config["max_bytes"].as_i64().unwrap() > 0, "{name} has an end: {config:#}");
        let refuses = config["discard_new_per_subject"] == true;
        assert_eq!(refuses, per_subject > 0, "a full subject refuses, it never drops: {name}: {config:#}");
    }
}

#[tokio::test]
async fn every_consumer_is_durable_and_never_gives_up() {
    let pipeline = shared::pipeline().await;
    for (stream, name) in CONSUMERS.into_iter().chain([AUDIT]) {
        let config = pipeline.broker.consumer(stream, name).await.unwrap()["config"].clone();
        assert_eq!(config["durable_name"], name, "{config:#}");
        assert_eq!(config["ack_policy"], "explicit", "{config:#}");
        assert_eq!(config["max_deliver"].as_i64().unwrap_or(-1), -1, "{config:#}");
        assert_eq!(config["deliver_policy"].as_str().unwrap_or("all"), "all", "{config:#}");
    }
    // What only looks on does not keep anything from being trimmed.
    let raw = pipeline.broker.stream("RAW").await;
    assert!(!raw["config"]["metadata"]["penstock.consumers"].as_str().unwrap().contains(AUDIT.1), "{raw:#}");
}

#[tokio::test]
async fn a_worker_refuses_a_stream_that_could_lose_messages() {
    let mut pipeline = Pipeline::by_hand(&config::with_sources([config::signed("orders")]), &[]).await;
    // Streams made by hand or by an older version: each of these loses messages in silence.
    let faults = [
        ("UNIQUE", "dedup", json!({"max_msgs_per_subject": -1, "discard_new_per_subject": false})),
        ("UNIQUE", "persister", json!({"max_age": 3_600_000_000_000_u64})),
        ("RAW", "gateway", json!({"discard": "old"})),
        ("CANONICAL", "normalizer", json!({"discard": "old"})),
    ];
    for (stream, role, fault) in faults {
        let right = pipeline.broker.stream(stream).await["config"].clone();
        let mut wrong = right.clone();
        for (key, value) in fault.as_object().unwrap() {
            wrong[key] = value.clone();
        }
        pipeline.broker.api(&format!("STREAM.UPDATE.{stream}"), wrong).await.unwrap();
        let output = pipeline.try_command(&[role]).await;
        let told = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
        assert!(!output.status.success() && told.contains(stream), "{role} with {stream} and {fault}: {told}");

        // `provision` mends it.
        pipeline.command(&["provision"]).await;
        let mended = pipeline.broker.stream(stream).await["config"].clone();
        for key in fault.as_object().unwrap().keys() {
            assert_eq!(mended[key], right[key], "{key} of {stream}");
        }
    }
    // Without its streams a worker says what makes them.
    pipeline.broker.api("STREAM.DELETE.CANONICAL", json!({})).await.unwrap();
    let output = pipeline.try_command(&["dedup"]).await;
    let told = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success() && told.contains("provision"), "{told}");
    pipeline.may_be_unsettled();
}

#[tokio::test]
async fn a_worker_refuses_a_consumer_that_could_lose_messages_and_provision_mends_it() {
    let mut pipeline = Pipeline::by_hand(&config::with_sources([config::signed("orders")]), &[]).await;
    // Each with a role that reads it. The last two lose nothing and stall, or deliver what is worked on.
    let faults = [
        ("CANONICAL", "dedup", "dedup", json!({"max_deliver": 3})),
        ("CANONICAL", "dedup", "dedup", json!({"headers_only": true})),
        ("UNIQUE", "persister", "persister", json!({"filter_subject": "unique.7.>"})),
        ("RAW", "normalizer-sms", "normalizer", json!({"inactive_threshold": 3_600_000_000_000_u64})),
        ("RAW", "normalizer-form", "normalizer", json!({"max_ack_pending": 1})),
        ("CANONICAL", "dedup", "dedup", json!({"ack_wait": 1_000_000_000_u64})),
    ];
    for (stream, name, role, fault) in faults {
        let right = pipeline.broker.consumer(stream, name).await.unwrap()["config"].clone();
        let mut wrong = right.clone();
        for (key, value) in fault.as_object().unwrap() {
            wrong[key] = value.clone();
        }
        change_consumer(&pipeline, stream, name, &wrong).await;
        let output = pipeline.try_command(&[role]).await;
        let told = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
        assert!(!output.status.success() && told.contains(name), "{role} with {name} and {fault}: {told}");

        pipeline.command(&["provision"]).await;
        let mended = pipeline.broker.consumer(stream, name).await.unwrap()["config"].clone();
        for key in fault.as_object().unwrap().keys() {
            assert_eq!(mended.get(key), right.get(key), "{key} of {name}: {mended:#}");
        }
    }
    pipeline.may_be_unsettled();
}

/// What the server does not change is named, and nothing is deleted.
#[tokio::test]
async fn what_provision_cannot_mend_it_names_and_leaves() {
    let mut pipeline = Pipeline::by_hand(&config::with_sources([config::signed("orders")]), &[]).await;
    pipeline.broker.api("CONSUMER.DELETE.CANONICAL.dedup", json!({})).await.unwrap();
    let new_only = json!({"durable_name": "dedup", "ack_policy": "explicit", "deliver_policy": "new"});
    let made = json!({"stream_name": "CANONICAL", "config": new_only});
    pipeline.broker.api("CONSUMER.CREATE.CANONICAL.dedup", made).await.unwrap();
    let output = pipeline.try_command(&["provision"]).await;
    let told = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success() && told.contains("CANONICAL/dedup") && told.contains("deliver policy"), "{told}");
    let left = pipeline.broker.consumer("CANONICAL", "dedup").await.unwrap();
    assert_eq!(left["config"]["deliver_policy"], "new");
    assert_eq!(left["config"]["max_ack_pending"], 10_000, "what can be mended is: {left:#}");
    pipeline.may_be_unsettled();
}

async fn change_consumer(pipeline: &Pipeline, stream: &str, name: &str, config: &Value) {
    let change = json!({"stream_name": stream, "config": config, "action": "update"});
    let filter = config.get("filter_subject").and_then(Value::as_str).map(|filter| format!(".{filter}"));
    let subject = format!("CONSUMER.CREATE.{stream}.{name}{}", filter.unwrap_or_default());
    pipeline.broker.api(&subject, change).await.unwrap();
}

#[tokio::test]
async fn a_worker_that_cannot_look_at_its_streams_is_not_ready() {
    let pipeline = Pipeline::by_hand(&config::with_sources([config::signed("orders")]), &[]).await;
    // Connected, with the rights of another role: what it asks is not answered.
    let mut servers = pipeline.environment();
    servers[0].1 = crate::users::url_of(&pipeline, "gateway");
    let mut process = RoleProcess::start(Role::Dedup, 1, pipeline.config(), &pipeline.logs(), &servers);
    let reasons = eventually(Duration::from_secs(30), "it is connected", async || {
        let answer = Request::get("/health").send(&process.admin_url()).await.map_err(|error| error.to_string())?;
        let health = answer.json();
        let dependencies = health["dependencies"].as_array().cloned().unwrap_or_default();
        let connected = dependencies.iter().any(|found| found["name"] == "nats" && found["ok"] == true);
        ensure(connected, || health.to_string())?;
        Request::get("/readyz").send(&process.admin_url()).await.map_err(|error| error.to_string())
    })
    .await;
    assert_eq!(reasons.status, 503, "{reasons}");
    assert!(reasons.text().contains("streams"), "{reasons}");
    process.kill();
}
