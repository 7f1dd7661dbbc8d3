//! Full: of a stream, a subject, the server; and what is too large. `publish.rs` tells these apart by number and words.

use serde_json::json;
use tests::servers::NatsServer;
use tests::servers::wire::{number, refusal, stored, stream};

const MIB: usize = 1024 * 1024;

/// X1. Rests on it: `runtime/src/publish.rs` (10023 is "full", which waits and loses nothing).
#[tokio::test]
async fn a_server_at_its_limit_refuses_at_once_and_keeps_what_it_has_taken() {
    let server = NatsServer::start_with("max_file_store: 2MB", "").await;
    let wire = server.connect().await;
    wire.stream("RAW", json!({ "max_bytes": -1 })).await;
    let mut taken = 0;
    let answer = loop {
        let answer = wire.publish("raw.a", &[], vec![0; 64 * 1024]).await;
        if answer.get("error").is_some() {
            break answer;
        }
        taken += 1;
        assert!(taken < 100, "no limit");
    };
    assert_eq!(refusal(&answer), (10_023, "insufficient resources"));
    assert_eq!(number(&answer["error"]["code"]), 503);
    assert!(taken > 25, "{taken}");
    assert_eq!(wire.messages("RAW").await, taken);
    assert_eq!(server.monitor("/healthz").await.0, 200, "a full store does not show in its health");
}

/// Rests on it: `runtime/src/provision.rs` (streams have a byte limit; a server that is too small refuses to make them).
#[tokio::test]
async fn a_stream_that_may_hold_more_than_the_server_has_is_not_made() {
    let server = NatsServer::start_with("max_file_store: 2MB", "").await;
    let wire = server.connect().await;
    let config = stream("RAW", json!({ "max_bytes": 3 * MIB }));
    let answer = wire.api("STREAM.CREATE.RAW", config).await;
    assert_eq!(refusal(&answer), (10_047, "insufficient storage resources available"));
}

/// X3. Rests on it: `runtime/src/properties.rs` (discard must be new).
#[tokio::test]
async fn discard_old_loses_what_was_acknowledged_and_says_nothing() {
    let server = NatsServer::start().await;
    let wire = server.connect().await;
    wire.stream("RAW", json!({ "discard": "old", "max_bytes": MIB })).await;
    wire.consumer("RAW", "all", json!({})).await;
    for _ in 0..40 {
        stored(&wire.publish("raw.a", &[], vec![0; 64 * 1024]).await);
    }
    let kept = wire.messages("RAW").await;
    assert!(kept < 20, "{kept} of 40 were kept");
}

/// X3. Rests on it: `runtime/src/publish.rs` (the words that mean "full" and "taken" are compared in whole),
/// `runtime/src/properties.rs`.
#[tokio::test]
async fn discard_new_refuses_with_one_number_and_three_different_sentences() {
    let server = NatsServer::start().await;
    let wire = server.connect().await;
    wire.stream("RAW", json!({ "max_bytes": MIB })).await;
    let mut taken = 0;
    let full = loop {
        let answer = wire.publish("raw.a", &[], vec![0; 64 * 1024]).await;
        if answer.get("error").is_some() {
            break answer;
        }
        taken += 1;
    };
    assert_eq!(refusal(&full), (10_077, "maximum bytes exceeded"));
    assert_eq!(number(&full["error"]["code"]), 503);
    assert_eq!(wire.messages("RAW").await, taken);

    wire.stream("FEW", json!({ "max_msgs": 1 })).await;
    stored(&wire.publish("few.a", &[], "1").await);
    assert_eq!(refusal(&wire.publish("few.b", &[], "2").await), (10_077, "maximum messages exceeded"));

    wire.stream("UNIQUE", json!({ "max_msgs_per_subject": 1, "discard_new_per_subject": true })).await;
    stored(&wire.publish("unique.a", &[], "1").await);
    let taken = wire.publish("unique.a", &[], "2").await;
    assert_eq!(refusal(&taken), (10_077, "maximum messages per subject exceeded"));
}

/// Rests on it: `runtime/src/publish.rs` (the words are looked for as the library writes them, before ` (code `).
#[tokio::test]
async fn the_library_gives_a_refusal_as_its_words_and_then_its_numbers() {
    let server = NatsServer::start().await;
    let wire = server.connect().await;
    wire.stream("UNIQUE", json!({ "max_msgs_per_subject": 1, "discard_new_per_subject": true })).await;
    let context = async_nats::jetstream::new(wire.client.clone());
    context.publish("unique.a", "1".into()).await.unwrap().await.unwrap();
    let error = context.publish("unique.a", "2".into()).await.unwrap().await.unwrap_err();
    let refusal = std::error::Error::source(&error).and_then(|s| s.downcast_ref::<async_nats::jetstream::Error>());
    let refusal = refusal.expect("the server's refusal is the source of the library's error");
    assert_eq!(refusal.error_code().0, 10_077);
    assert!(refusal.to_string().starts_with("maximum messages per subject exceeded (code "), "{refusal}");
}

/// Rests on it: `runtime/src/publish.rs` (in a stream that is full a taken claim is still told as taken).
#[tokio::test]
async fn a_taken_subject_of_a_full_stream_is_told_as_taken() {
    let server = NatsServer::start().await;
    let wire = server.connect().await;
    let limits = json!({ "max_msgs_per_subject": 1, "discard_new_per_subject": true, "max_bytes": 256 * 1024 });
    wire.stream("UNIQUE", limits).await;
    stored(&wire.publish("unique.a", &[], "1").await);
    stored(&wire.publish("unique.b", &[], vec![0; 200 * 1024]).await);
    assert_eq!(refusal(&wire.publish("unique.c", &[], vec![0; 100 * 1024]).await).1, "maximum bytes exceeded");
    assert_eq!(
        refusal(&wire.publish("unique.a", &[], vec![0; 100 * 1024]).await).1,
        "maximum messages per subject exceeded"
    );
}

/// Rests on it: `runtime/src/publish.rs` (such a message is refused every time, so it is not tried again).
#[tokio::test]
async fn a_message_or_headers_that_are_too_large_have_numbers_of_their_own() {
    let server = NatsServer::start().await;
    let wire = server.connect().await;
    wire.stream("RAW", json!({ "max_msg_size": 1024 })).await;
    let large = wire.publish("raw.a", &[], vec![0; 2048]).await;
    assert_eq!(refusal(&large), (10_054, "message size exceeds maximum allowed"));
    wire.stream("HELD", json!({})).await;
    let long = "x".repeat(66 * 1024);
    let answer = wire.publish("held.a", &[("Penstock-Headers", &long)], "1").await;
    assert_eq!(refusal(&answer), (10_097, "header size exceeds maximum allowed of 64k"));
}

/// X6. Rests on it: `runtime/src/publish.rs` (`MaxPayloadExceeded` is the message's fault), `runtime/src/bodies.rs`
/// (chunks are smaller than this).
#[tokio::test]
async fn a_payload_over_the_servers_limit_of_one_mebibyte_never_leaves_the_client() {
    let server = NatsServer::start().await;
    let wire = server.connect().await;
    assert_eq!(wire.client.server_info().max_payload, MIB);
    wire.stream("RAW", json!({})).await;
    let context = async_nats::jetstream::new(wire.client.clone());
    let error = match context.publish("raw.a", vec![0; MIB + 1].into()).await {
        Ok(acknowledged) => acknowledged.await.unwrap_err(),
        Err(error) => error,
    };
    assert_eq!(error.kind(), async_nats::jetstream::context::PublishErrorKind::MaxPayloadExceeded);
    stored(&wire.publish("raw.a", &[], vec![0; MIB - 256]).await);
    assert_eq!(wire.messages("RAW").await, 1);
}

/// Rests on it: `runtime/src/provision.rs` (sizes are updated to what the configuration says, also downwards).
#[tokio::test]
async fn a_stream_whose_size_is_lowered_below_what_it_holds_keeps_it_and_takes_nothing_more() {
    let server = NatsServer::start().await;
    let wire = server.connect().await;
    for (lower, words) in [
        (json!({ "max_bytes": 20 * 1024 }), "maximum bytes exceeded"),
        (json!({ "max_msgs": 2 }), "maximum messages exceeded"),
    ] {
        wire.stream("RAW", json!({})).await;
        for _ in 0..5 {
            stored(&wire.publish("raw.a", &[], vec![0; 10 * 1024]).await);
        }
        let updated = wire.api("STREAM.UPDATE.RAW", stream("RAW", lower)).await;
        assert_eq!(updated.get("error"), None, "{updated}");
        assert_eq!(wire.messages("RAW").await, 5);
        assert_eq!(refusal(&wire.publish("raw.a", &[], "1").await), (10_077, words));
        wire.api_bytes("STREAM.DELETE.RAW", "").await;
    }
}

/// Rests on it: `runtime/src/provision.rs` (`hold.max_messages` lowered: the oldest of what is held go).
#[tokio::test]
async fn a_limit_per_subject_that_is_lowered_throws_the_oldest_away() {
    let server = NatsServer::start().await;
    let wire = server.connect().await;
    let limit = |most: u64| json!({ "max_msgs_per_subject": most, "discard_new_per_subject": true });
    wire.stream("HELD", limit(5)).await;
    wire.fill("held.a", 5).await;
    stored(&wire.publish("held.b", &[], "1").await);
    let updated = wire.api("STREAM.UPDATE.HELD", stream("HELD", limit(2))).await;
    assert_eq!(updated.get("error"), None, "{updated}");
    let state = wire.state("HELD").await;
    assert_eq!((number(&state["messages"]), number(&state["first_seq"])), (3, 4), "{state}");
    let full = wire.publish("held.a", &[], "1").await;
    assert_eq!(refusal(&full), (10_077, "maximum messages per subject exceeded"));
}

/// Rests on it: `runtime/src/properties.rs` (a limit per subject that refuses needs all three properties).
#[tokio::test]
async fn discard_new_per_subject_is_only_taken_with_discard_new_and_a_limit() {
    let server = NatsServer::start().await;
    let wire = server.connect().await;
    for (changes, words) in [
        (
            json!({ "discard": "old", "max_msgs_per_subject": 1, "discard_new_per_subject": true }),
            "discard new per subject requires discard new policy to be set",
        ),
        (json!({ "discard_new_per_subject": true }), "discard new per subject requires max msgs per subject > 0"),
    ] {
        let answer = wire.api("STREAM.CREATE.UNIQUE", stream("UNIQUE", changes)).await;
        assert_eq!(refusal(&answer), (10_052, words));
    }
}
