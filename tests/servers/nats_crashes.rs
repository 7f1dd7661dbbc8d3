//! The broker killed, frozen, away: what an acknowledgement is worth then, and what no answer says.

use std::time::Duration;

use futures::future::join_all;
use nix::sys::signal::Signal;
use serde_json::json;
use tests::eventually;
use tests::eventually::ensure;
use tests::servers::NatsServer;
use tests::servers::wire::{Wire, number, stored};

const SHORT: Duration = Duration::from_secs(1);

/// A connection that waits for an answer only so long.
async fn hasty(server: &NatsServer) -> Wire {
    let wire = server.connect().await;
    let options = async_nats::ConnectOptions::new().request_timeout(Some(SHORT));
    drop(wire);
    Wire { client: options.connect(server.address()).await.unwrap() }
}

/// X7. Rests on it: `ingest-gateway/src/store.rs` (a 200 says that it is stored), `runtime/src/properties.rs`
/// (`persist_mode`).
#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_kill() {
    let mut server = NatsServer::start().await;
    let wire = hasty(&server).await;
    wire.stream("RAW", json!({})).await;
    let writers = join_all((0..8).map(|writer| {
        let wire = wire.clone();
        async move {
            let mut acknowledged = Vec::new();
            for n in 0..2000 {
                let text = format!("{writer}-{n}");
                match wire.try_publish("raw.a", &[], text.clone()).await {
                    Ok(answer) => acknowledged.push((stored(&answer), text)),
                    Err(_) => break,
                }
            }
            acknowledged
        }
    }));
    let child = server.child();
    let killing = async {
        tokio::time::sleep(Duration::from_millis(400)).await;
        child.kill();
    };
    let (acknowledged, ()) = futures::join!(writers, killing);
    let acknowledged: Vec<_> = acknowledged.into_iter().flatten().collect();
    assert!(acknowledged.len() > 100, "{} were acknowledged before the kill", acknowledged.len());
    assert!(acknowledged.len() < 16_000, "it was killed too late");
    server.again().await;
    let wire = server.connect().await;
    let context = async_nats::jetstream::new(wire.client.clone());
    let raw = context.get_stream("RAW").await.unwrap();
    for (sequence, text) in &acknowledged {
        let found = raw.direct_get(*sequence).await.unwrap_or_else(|error| panic!("{sequence} is lost: {error}"));
        assert_eq!(found.payload, text.as_bytes());
    }
}

/// X7. Rests on it: `runtime/src/publish.rs` (`Unconfirmed`: it may be stored or not, so it is tried again under the same
/// id), `runtime/src/nats.rs`.
#[tokio::test]
async fn a_publish_to_a_frozen_server_gets_no_answer_and_is_stored_when_it_wakes() {
    let mut server = NatsServer::start().await;
    let wire = hasty(&server).await;
    wire.stream("RAW", json!({})).await;
    server.child().signal(Signal::SIGSTOP);
    let error = wire.try_publish("raw.a", &[("Nats-Msg-Id", "1")], "1").await.unwrap_err();
    assert!(error.contains("timed out"), "{error}");
    server.child().signal(Signal::SIGCONT);
    eventually(Duration::from_secs(10), "the late publish is stored", async || {
        let found = number(&wire.state("RAW").await["messages"]);
        ensure(found == 1, || format!("{found}"))
    })
    .await;
    assert_eq!(wire.publish("raw.a", &[("Nats-Msg-Id", "1")], "1").await["duplicate"], true);
}

/// Rests on it: `runtime/src/publish.rs` (503 comes as the library's `StreamNotFound`, which may pass: it is never taken
/// for a missing stream).
#[tokio::test]
async fn a_subject_that_no_stream_takes_has_nobody_to_answer() {
    let server = NatsServer::start().await;
    let wire = server.connect().await;
    let context = async_nats::jetstream::new(wire.client.clone());
    let error = context.publish("raw.a", "1".into()).await.unwrap().await.unwrap_err();
    assert_eq!(error.kind(), async_nats::jetstream::context::PublishErrorKind::StreamNotFound);
}

/// Rests on it: `runtime/src/delivery.rs` (an acknowledgement that a kill of the broker loses is a redelivery),
/// `runtime/src/trim.rs` (a floor may be told too low, never too high).
#[tokio::test]
async fn a_kill_may_forget_acknowledgements_and_never_makes_some_up() {
    let mut server = NatsServer::start().await;
    let wire = server.connect().await;
    wire.stream("RAW", json!({})).await;
    wire.consumer("RAW", "all", json!({})).await;
    for n in 0..200 {
        stored(&wire.publish("raw.a", &[], format!("{n}")).await);
    }
    for delivered in wire.pull_now("RAW", "all", 150).await {
        wire.client.publish(delivered.reply, "+ACK".into()).await.unwrap();
    }
    wire.client.flush().await.unwrap();
    server.child().kill();
    server.again().await;
    let wire = server.connect().await;
    let floor = number(&wire.consumer_info("RAW", "all").await["ack_floor"]["stream_seq"]);
    assert!(floor <= 150, "{floor}");
    // What was delivered to the process that is gone comes after ack_wait; what was not, now.
    let waiting = wire.pull_now("RAW", "all", 200).await;
    assert!(waiting.iter().any(|delivered| delivered.sequence == 200), "{} came", waiting.len());
    for sequence in 151..=200 {
        assert!(waiting.iter().any(|delivered| delivered.sequence == sequence), "{sequence} is lost");
    }
}
