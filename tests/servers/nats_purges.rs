//! Throwing away: what a purge takes with it, and whom it tells.

use serde_json::json;
use tests::servers::NatsServer;
use tests::servers::wire::{number, stored};

/// Rests on it: `runtime/src/trim.rs` (why nothing goes when in doubt), `runtime/src/trimmer.rs`.
#[tokio::test]
async fn a_purge_past_an_unacknowledged_message_loses_it_in_silence() {
    let server = NatsServer::start().await;
    let wire = server.connect().await;
    wire.stream("RAW", json!({})).await;
    wire.consumer("RAW", "ahead", json!({})).await;
    wire.consumer("RAW", "behind", json!({})).await;
    wire.fill("raw.a", 4).await;
    let in_hand = wire.pull_now("RAW", "ahead", 2).await;
    assert_eq!(in_hand.len(), 2);
    let purged = wire.api("STREAM.PURGE.RAW", json!({ "seq": 4 })).await;
    assert_eq!((&purged["success"], number(&purged["purged"])), (&json!(true), 3));
    for (consumer, left) in [("ahead", 1), ("behind", 1)] {
        let info = wire.consumer_info("RAW", consumer).await;
        assert_eq!(number(&info["ack_floor"]["stream_seq"]), 3, "{consumer}: {info}");
        assert_eq!((number(&info["num_pending"]), number(&info["num_ack_pending"])), (left, 0), "{consumer}");
        let rest: Vec<u64> = wire.pull_now("RAW", consumer, 9).await.iter().map(|message| message.sequence).collect();
        assert_eq!(rest, [4], "{consumer}");
    }
    wire.answer(&in_hand[0], "+ACK").await;
}

/// Rests on it: `runtime/src/stream_info.rs` (`purge_before`: the message at the sequence itself stays).
#[tokio::test]
async fn a_purge_by_sequence_keeps_that_sequence() {
    let server = NatsServer::start().await;
    let wire = server.connect().await;
    wire.stream("RAW", json!({})).await;
    wire.fill("raw.a", 5).await;
    assert_eq!(number(&wire.api("STREAM.PURGE.RAW", json!({ "seq": 3 })).await["purged"]), 2);
    let state = wire.state("RAW").await;
    assert_eq!((number(&state["first_seq"]), number(&state["messages"])), (3, 3));
    assert_eq!(number(&wire.api("STREAM.PURGE.RAW", json!({ "seq": 3 })).await["purged"]), 0);
}

/// Rests on it: `runtime/src/trim.rs` (`needed_from` is at most the one after the newest: beyond it sequences that were
/// never given would be skipped).
#[tokio::test]
async fn a_purge_beyond_the_end_moves_the_next_sequence_there() {
    let server = NatsServer::start().await;
    let wire = server.connect().await;
    wire.stream("RAW", json!({})).await;
    stored(&wire.publish("raw.a", &[], "1").await);
    assert_eq!(number(&wire.api("STREAM.PURGE.RAW", json!({ "seq": 100 })).await["purged"]), 1);
    assert_eq!(stored(&wire.publish("raw.a", &[], "2").await), 100);
}

/// Rests on it: `runtime/src/trimmer.rs` (an empty stream still knows its newest sequence, so a floor is still one),
/// `runtime/src/stream_info.rs` (`last_seq`, "also when it is gone").
#[tokio::test]
async fn sequences_go_on_after_everything_is_purged_also_over_a_restart() {
    let mut server = NatsServer::start().await;
    let wire = server.connect().await;
    wire.stream("RAW", json!({})).await;
    wire.consumer("RAW", "all", json!({})).await;
    wire.fill("raw.a", 3).await;
    wire.acknowledge("RAW", "all", 3).await;
    wire.api("STREAM.PURGE.RAW", json!({ "seq": 4 })).await;
    for killed in [false, true] {
        let state = wire_state(&server).await;
        assert_eq!(state, (0, 4, 3), "messages, first, last");
        if killed {
            server.child().kill();
        } else {
            server.stop().await;
        }
        server.again().await;
    }
    assert_eq!(wire_state(&server).await, (0, 4, 3));
    let wire = server.connect().await;
    assert_eq!(stored(&wire.publish("raw.a", &[], "2").await), 4);
    assert_eq!(wire.pull_now("RAW", "all", 3).await[0].sequence, 4);
}

async fn wire_state(server: &NatsServer) -> (u64, u64, u64) {
    let state = server.connect().await.state("RAW").await;
    (number(&state["messages"]), number(&state["first_seq"]), number(&state["last_seq"]))
}

/// Rests on it: `runtime/src/trimmer.rs` (a full stream takes messages again as soon as it was trimmed, without a
/// restart).
#[tokio::test]
async fn a_full_stream_takes_messages_again_after_a_purge() {
    let server = NatsServer::start().await;
    let wire = server.connect().await;
    wire.stream("RAW", json!({ "max_bytes": 256 * 1024 })).await;
    let full = async || {
        let mut taken = 0;
        while wire.publish("raw.a", &[], vec![0; 32 * 1024]).await.get("error").is_none() {
            taken += 1;
        }
        taken
    };
    let first = full().await;
    assert!(first >= 6, "{first}");
    wire.api("STREAM.PURGE.RAW", json!({ "seq": 4 })).await;
    assert_eq!(full().await, 3);
}
