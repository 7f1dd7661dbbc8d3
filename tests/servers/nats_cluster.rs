//! Three servers that hold copies: what differs from one alone, and what a leader's death is worth.

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::future::join_all;
use serde_json::{Value, json};
use tests::eventually;
use tests::eventually::ensure;
use tests::servers::Cluster;
use tests::servers::wire::{Wire, map, number, refusal, stored};

/// Publishes without waiting in between, and gives all answers in their order.
async fn at_once(wire: &Wire, messages: &[(&str, &str)]) -> Vec<Value> {
    let inbox = wire.client.new_inbox();
    let mut answers = wire.client.subscribe(format!("{inbox}.*")).await.unwrap();
    for (place, (subject, id)) in messages.iter().enumerate() {
        let (subject, reply) = ((*subject).to_owned(), format!("{inbox}.{place}"));
        let headers = map(&[("Nats-Msg-Id", id)]);
        wire.client.publish_with_reply_and_headers(subject, reply, headers, (*id).to_owned().into()).await.unwrap();
    }
    let mut found = vec![Value::Null; messages.len()];
    for _ in messages {
        let answer = tokio::time::timeout(Duration::from_secs(10), answers.next()).await.unwrap().unwrap();
        let place: usize = answer.subject.rsplit('.').next().unwrap().parse().unwrap();
        found[place] = serde_json::from_slice(&answer.payload).unwrap();
    }
    found
}

/// Rests on it: `dedup-worker/src/decide.rs` (a claim is one also over copies), `runtime/src/publish.rs`
/// (`MESSAGE_ID_IN_PROCESS` is tried again and is no duplicate; "taken" may be told of a claim that is not yet committed).
#[tokio::test]
async fn over_three_copies_a_claim_has_one_holder_and_an_id_on_its_way_is_told_as_such() {
    let cluster = Cluster::start().await;
    let wire = cluster.connect().await;
    let claims = json!({ "num_replicas": 3, "max_msgs_per_subject": 1, "discard_new_per_subject": true });
    wire.stream("UNIQUE", claims).await;
    cluster.leader(&wire, "UNIQUE").await;

    // One id twice in flight, and two ids for one subject in flight.
    let subjects: Vec<String> = (0..200).map(|n| format!("unique.{n}")).collect();
    let ids: Vec<String> = (0..200).map(|n| format!("b{n}")).collect();
    let messages: Vec<(&str, &str)> = subjects
        .iter()
        .zip(&ids)
        .flat_map(|(subject, id)| [(subject.as_str(), subject.as_str()), (subject, subject), (subject, id)])
        .collect();
    let answers = at_once(&wire, &messages).await;
    let mut in_process = 0;
    for answers in answers.chunks(3) {
        stored(&answers[0]);
        match answers[1].get("error") {
            Some(_) => {
                assert_eq!(refusal(&answers[1]), (10_158, "duplicate message id is in process"));
                in_process += 1;
            }
            None => assert_eq!(answers[1]["duplicate"], true, "{}", answers[1]),
        }
        assert_eq!(refusal(&answers[2]), (10_077, "maximum messages per subject exceeded"));
    }
    assert!(in_process > 0, "none was in flight: the test saw nothing");
    assert_eq!(wire.messages("UNIQUE").await, 200);

    // A purge frees a claim for another id, and the same id is a duplicate of nothing.
    wire.api("STREAM.PURGE.UNIQUE", json!({ "seq": 2 })).await;
    let own = wire.publish("unique.0", &[("Nats-Msg-Id", "unique.0")], "1").await;
    assert_eq!(own["duplicate"], true, "{own}");
    stored(&wire.publish("unique.0", &[("Nats-Msg-Id", "other")], "1").await);

    // Full and taken: three copies say "full" where one alone says "taken".
    let limits = json!({
        "num_replicas": 3, "max_msgs_per_subject": 1, "discard_new_per_subject": true, "max_bytes": 256 * 1024,
    });
    wire.stream("DLQ", limits).await;
    stored(&wire.publish("dlq.a", &[], "1").await);
    stored(&wire.publish("dlq.b", &[], vec![0; 200 * 1024]).await);
    let full = wire.publish("dlq.a", &[], vec![0; 100 * 1024]).await;
    assert_eq!(refusal(&full), (10_077, "maximum bytes exceeded"));

    // A consumer made anew.
    wire.consumer("UNIQUE", "all", json!({ "num_replicas": 3 })).await;
    let info = wire.consumer_info("UNIQUE", "all").await;
    assert_eq!(number(&info["ack_floor"]["stream_seq"]), 0, "not one before the first: {info}");
}

/// X7. Rests on it: `ingest-gateway/src/store.rs` (a 200 holds over the death of a server), `runtime/src/publish.rs`
/// (`Unconfirmed`: what is not answered is tried again under the same id, until a new leader answers).
#[tokio::test]
async fn a_leader_that_is_killed_takes_no_acknowledged_message_with_it_and_retries_are_not_stored_twice() {
    let mut cluster = Cluster::start().await;
    let wire = cluster.connect().await;
    wire.stream("RAW", json!({ "num_replicas": 3 })).await;
    let leader = cluster.leader(&wire, "RAW").await;
    let survivor = cluster.servers[(leader + 1) % 3].connect().await;
    let options = async_nats::ConnectOptions::new().request_timeout(Some(Duration::from_secs(1)));
    let client = options.connect(cluster.servers[(leader + 1) % 3].address()).await.unwrap();
    let wire = Wire { client };

    let begun = Instant::now();
    let writing = join_all((0..20).map(|writer| {
        let wire = wire.clone();
        async move {
            for n in 0..150 {
                let id = format!("{writer}-{n}");
                eventually(Duration::from_secs(40), "a leader takes it", async || {
                    let answer = wire.try_publish("raw.a", &[("Nats-Msg-Id", &id)], id.clone()).await?;
                    ensure(answer.get("error").is_none(), || answer.to_string())
                })
                .await;
            }
        }
    }));
    let server = &mut cluster.servers[leader];
    let killing = async {
        eventually(Duration::from_secs(20), "some are stored", async || {
            let found = survivor.messages("RAW").await;
            ensure(found > 300, || format!("{found}"))
        })
        .await;
        server.child().kill();
    };
    futures::join!(writing, killing);
    println!("3,000 messages in {:?}, with a new leader in between", begun.elapsed());
    cluster.holds(&survivor, "RAW", 3000).await;
}
