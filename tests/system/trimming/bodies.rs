//! A body stays as long as a message may refer to it.

use std::time::Duration;

use runtime::trimmer::{KeepFor, Retention};

use super::{Broker, LIMIT};

/// A message in each stream that can refer to one.
const REFERENCES: [(&str, &str); 7] = [
    ("RAW", "raw.sms.support"),
    ("HELD", "held.sms.support"),
    ("REPLAY", "replay.raw.sms.support"),
    ("CANONICAL", "canonical.sms.support"),
    ("UNIQUE", "unique.0.a"),
    ("DUPLICATES", "duplicate.sms.support"),
    ("DLQ", "dlq.dedup.sms.support.a"),
];
const REFER_TO_BODIES: [&str; 7] = ["RAW", "HELD", "REPLAY", "CANONICAL", "UNIQUE", "DUPLICATES", "DLQ"];

#[tokio::test]
async fn a_body_stays_as_long_as_the_oldest_message_that_may_refer_to_it() {
    let broker = Broker::start().await;
    let margin = Duration::from_millis(300);
    let bodies = Retention {
        stream: "BODIES",
        keep: KeepFor::ReferredTo(&REFER_TO_BODIES, margin),
        most_messages: None,
        under_pressure: false,
        every: Duration::from_mins(1),
    };
    let trim = async || broker.nats.trim(&bodies).await.unwrap().trimmed;
    // In turn, so that each is once the only one.
    for (stream, subject) in REFERENCES {
        let id = uuid::Uuid::new_v4();
        broker.publish(&format!("body.{id}"), 1, 100).await;
        broker.publish(subject, 1, 100).await;
        // Older than the margin, and still there: what counts is how old the message is.
        tokio::time::sleep(2 * margin).await;
        assert_eq!(trim().await, 0, "a message in {stream} may refer to it");
        broker.nats.jetstream().get_stream(stream).await.unwrap().purge().await.unwrap();
        tests::eventually(LIMIT, "it goes when nothing refers to it any more", async || {
            if trim().await == 1 { Ok(()) } else { Err("it is still there".to_owned()) }
        })
        .await;
    }
}
