//! The broker as the contract has it: what safety rests on is as it is written there, and nothing is left behind.

use serde_json::{Value, json};
use tests::broker::CONSUMERS;
use tests::{Pipeline, config};

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
    for (stream, name) in CONSUMERS {
        let config = pipeline.broker.consumer(stream, name).await.unwrap()["config"].clone();
        assert_eq!(config["durable_name"], name, "{config:#}");
        assert_eq!(config["ack_policy"], "explicit", "{config:#}");
        assert_eq!(config["max_deliver"].as_i64().unwrap_or(-1), -1, "{config:#}");
        assert_eq!(config["deliver_policy"].as_str().unwrap_or("all"), "all", "{config:#}");
    }
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
