//! What the API answers: numbers and fields that are read by name.

use serde_json::json;
use tests::servers::NatsServer;
use tests::servers::wire::{number, refusal, stored, stream};

/// Rests on it: `runtime/src/stream_info.rs` (`ask` sends an empty payload where there is nothing to say).
#[tokio::test]
async fn a_question_without_a_payload_is_answered_and_null_is_refused() {
    let server = NatsServer::start().await;
    let wire = server.connect().await;
    wire.stream("RAW", json!({})).await;
    wire.consumer("RAW", "all", json!({})).await;
    assert_eq!(wire.api_bytes("CONSUMER.INFO.RAW.all", "").await.get("error"), None);
    assert_eq!(wire.api_bytes("STREAM.INFO.RAW", "").await.get("error"), None);
    assert!(wire.api_bytes("CONSUMER.INFO.RAW.all", "null").await.get("error").is_some());
}

/// Rests on it: `runtime/src/stream_info.rs` (`is_missing`: these numbers mean that there is none; others mean that it
/// could not be asked).
#[tokio::test]
async fn what_is_not_there_is_told_by_number() {
    let server = NatsServer::start().await;
    let wire = server.connect().await;
    let answer = wire.api_bytes("STREAM.INFO.RAW", "").await;
    assert_eq!(refusal(&answer), (10_059, "stream not found"));
    assert_eq!(refusal(&wire.api_bytes("CONSUMER.INFO.RAW.all", "").await).0, 10_059);
    wire.stream("RAW", json!({})).await;
    assert_eq!(refusal(&wire.api_bytes("CONSUMER.INFO.RAW.all", "").await), (10_014, "consumer not found"));
    let answer = wire.api("STREAM.MSG.GET.RAW", json!({ "seq": 1, "next_by_subj": ">" })).await;
    assert_eq!(refusal(&answer), (10_037, "no message found"));
}

/// Rests on it: `runtime/src/trimmer.rs` (what is old is reckoned by the broker's clock), `runtime/src/stream_info.rs`
/// (`ts`, `first_ts`).
#[tokio::test]
async fn a_stream_says_what_time_it_is_and_how_old_its_first_message_is() {
    let server = NatsServer::start().await;
    let wire = server.connect().await;
    wire.stream("RAW", json!({})).await;
    let time = |value: &serde_json::Value| {
        let text = value.as_str().unwrap_or_else(|| panic!("no time: {value}"));
        chrono::DateTime::parse_from_rfc3339(text).unwrap()
    };
    let empty = wire.api_bytes("STREAM.INFO.RAW", "").await;
    assert_eq!(empty["state"]["first_ts"], "0001-01-01T00:00:00Z");
    stored(&wire.publish("raw.a", &[], "1").await);
    let info = wire.api_bytes("STREAM.INFO.RAW", "").await;
    let (before, now, first) = (time(&empty["ts"]), time(&info["ts"]), time(&info["state"]["first_ts"]));
    assert!(before <= first && first <= now, "{before} {first} {now}");
    let message = wire.api("STREAM.MSG.GET.RAW", json!({ "seq": 1 })).await;
    assert_eq!(time(&message["message"]["time"]), first);
}

/// Rests on it: `runtime/src/stream_info.rs` (`next_stored`), `runtime/src/trimmer.rs` (what is for a filtered consumer,
/// and the first message that is young enough), `runtime/src/bodies.rs` (chunks are read one after the other).
#[tokio::test]
async fn the_next_message_of_a_subject_is_found_from_any_sequence_also_over_gaps() {
    let server = NatsServer::start().await;
    let wire = server.connect().await;
    wire.stream("RAW", json!({})).await;
    for subject in ["raw.sms.a", "raw.email.a", "raw.email.a", "raw.sms.b", "raw.email.a"] {
        stored(&wire.publish(subject, &[], subject.to_owned()).await);
    }
    wire.api("STREAM.MSG.DELETE.RAW", json!({ "seq": 3 })).await;
    for (from, filter, found) in [
        (1, "raw.sms.>", Some(1)),
        (2, "raw.sms.>", Some(4)),
        (4, "raw.sms.>", Some(4)),
        (5, "raw.sms.>", None),
        (2, "raw.email.a", Some(2)),
        (3, "raw.email.a", Some(5)),
        (3, ">", Some(4)),
        (6, ">", None),
        (1, "raw.form.>", None),
    ] {
        let answer = wire.api("STREAM.MSG.GET.RAW", json!({ "seq": from, "next_by_subj": filter })).await;
        match found {
            Some(sequence) => assert_eq!(number(&answer["message"]["seq"]), sequence, "{from} {filter}: {answer}"),
            None => assert_eq!(refusal(&answer), (10_037, "no message found"), "{from} {filter}"),
        }
        let context = async_nats::jetstream::new(wire.client.clone());
        let raw = context.get_stream_no_info("RAW").await.unwrap();
        let direct = raw.direct_get_next_for_subject(filter, Some(from)).await;
        match (direct, found) {
            (Ok(message), Some(sequence)) => assert_eq!(message.sequence, sequence),
            (Err(error), None) => {
                assert_eq!(error.kind(), async_nats::jetstream::stream::DirectGetErrorKind::NotFound, "{error}");
            }
            (direct, _) => panic!("{from} {filter}: {direct:?}"),
        }
    }
}

/// Rests on it: `runtime/src/properties.rs` (what is read of a stream's properties, by these names),
/// `runtime/src/stream_info.rs`.
#[tokio::test]
async fn a_stream_says_every_property_that_safety_rests_on() {
    let server = NatsServer::start().await;
    let wire = server.connect().await;
    let metadata = json!({ "penstock.layout": "1", "penstock.consumers": "persister" });
    let changes = json!({
        "max_msgs_per_subject": 1, "discard_new_per_subject": true, "metadata": metadata, "allow_atomic": true,
    });
    wire.stream("UNIQUE", changes.clone()).await;
    let config = wire.api_bytes("STREAM.INFO.UNIQUE", "").await["config"].clone();
    let sent = stream("UNIQUE", changes);
    for (name, value) in sent.as_object().unwrap().iter().filter(|(name, _)| *name != "metadata") {
        assert_eq!(config.get(name), Some(value), "{name}");
    }
    for (name, value) in metadata.as_object().unwrap() {
        assert_eq!(config["metadata"].get(name), Some(value), "{name}");
    }
    for off in ["sealed", "allow_rollup_hdrs", "no_ack"] {
        assert!(config.get(off).is_none_or(|value| value == false), "{off}");
    }
    assert!(config.get("persist_mode").is_none_or(|mode| mode == "default"), "{config}");
}

/// X8. Rests on it: `deploy/nats.conf` (`sync_interval: always` is understood as "flushed before it is acknowledged"; that
/// it is done is counted by `servers_with_root`).
#[tokio::test]
async fn a_server_says_that_it_flushes_before_it_acknowledges() {
    for (setting, always) in [("", false), ("sync_interval: always", true)] {
        let server = NatsServer::start_with(setting, "").await;
        let (status, body) = server.monitor("/jsz").await;
        assert_eq!(status, 200);
        let said: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(said["config"]["sync_always"] == true, always, "{setting}: {body}");
        let wire = server.connect().await;
        wire.stream("RAW", json!({})).await;
        stored(&wire.publish("raw.a", &[], "1").await);
    }
}
