//! Trimming at full speed against everything at once: publishers, consumers that drop half of what they take, consumers
//! deleted and made again. What the broker acknowledged to a publisher was acknowledged by a consumer, or is still there.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use runtime::delivery::Delivery;
use runtime::publish::{Outgoing, Patience, PublishError, headers};
use serde_json::json;
use tests::eventually;
use tests::eventually::ensure;
use tokio_util::sync::CancellationToken;

use super::{Broker, LIMIT, NO_TIME};

/// How long they run against each other at least.
const STORM: Duration = Duration::from_secs(5);
/// Messages beyond which the stream is under pressure: the two ways to plan take turns.
const MOST: u64 = 40;
const DRAINED: Duration = Duration::from_mins(1);

/// One stream and what goes on there.
struct Storm<'a> {
    broker: &'a Broker,
    stream: &'static str,
    /// Where each consumer's messages come from: a subject, where `#` stands for a number that comes again and again.
    readers: &'a [(&'static str, &'static str)],
    over: CancellationToken,
    drained: CancellationToken,
    numbers: AtomicU64,
    published: Mutex<BTreeSet<String>>,
    consumed: Mutex<BTreeSet<String>>,
    trimmed: AtomicU64,
    passes: AtomicU64,
}

impl<'a> Storm<'a> {
    fn new(broker: &'a Broker, stream: &'static str, readers: &'a [(&'static str, &'static str)]) -> Self {
        Self {
            broker,
            stream,
            readers,
            over: CancellationToken::new(),
            drained: CancellationToken::new(),
            numbers: AtomicU64::new(0),
            published: Mutex::default(),
            consumed: Mutex::default(),
            trimmed: AtomicU64::new(0),
            passes: AtomicU64::new(0),
        }
    }

    async fn publish(&self, subject: &str) {
        while !self.over.is_cancelled() {
            let messages: Vec<(String, String)> = (0..20)
                .map(|_| {
                    let number = self.numbers.fetch_add(1, Ordering::Relaxed);
                    (subject.replace('#', &(number % 97).to_string()), format!("{subject} {number}"))
                })
                .collect();
            let make = |(subject, text): &(String, String)| {
                let headers = headers(text, [])?;
                Some(Outgoing { subject: subject.clone(), headers, payload: text.clone().into() })
            };
            let results = self.broker.nats.publish_all(&messages, make, Patience::for_at_most(LIMIT)).await;
            for ((_, text), result) in messages.into_iter().zip(results) {
                match result {
                    // A claim that stands, or no room: it is not in the stream, and nobody was told that it is.
                    Err(PublishError::SubjectTaken | PublishError::Full(_)) => {}
                    result => {
                        result.unwrap();
                        assert!(self.published.lock().unwrap().insert(text));
                    }
                }
            }
        }
    }

    /// Acknowledges two thirds of what comes, and gives the rest back, in no order; until all is drained.
    async fn consume(&self, consumer: &'static str) {
        let mut feed = self.broker.feed(self.stream, consumer, 30);
        while let Some(batch) = self.drained.run_until_cancelled(feed.next_batch()).await {
            let answer = |delivery: Delivery| {
                let place = delivery.info().stream_sequence + delivery.info().delivered;
                if place.is_multiple_of(3) && !self.over.is_cancelled() {
                    return delivery.retry(Duration::from_millis(place % 50));
                }
                let text = String::from_utf8(delivery.payload().to_vec()).unwrap();
                self.consumed.lock().unwrap().insert(text);
                delivery.ack()
            };
            self.broker.nats.settle(batch.into_iter().map(answer).collect()).await;
        }
    }

    /// Looks and purges without a pause, as several processes of a stage do beside each other.
    async fn trim(&self) {
        while !self.over.is_cancelled() {
            let gone = self.broker.trim(self.stream, NO_TIME, Some(MOST)).await;
            self.trimmed.fetch_add(gone, Ordering::Relaxed);
            self.passes.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Deletes a consumer and makes it again, a few times: it begins at the oldest message.
    async fn make_anew(&self, consumer: &str) {
        for _ in 0..4 {
            if self.over.run_until_cancelled(tokio::time::sleep(STORM / 6)).await.is_none() {
                return;
            }
            self.come_again_soon(consumer, true).await;
        }
    }

    /// What is lost on its way to a consumer comes again after two seconds, so that draining takes no half a minute.
    async fn come_again_soon(&self, consumer: &str, anew: bool) {
        let soon = json!({ "ack_wait": 2_000_000_000_u64 });
        self.broker.change_consumer(self.stream, consumer, &soon, anew).await;
    }

    async fn rage(&self) {
        for (_, consumer) in self.readers {
            self.come_again_soon(consumer, false).await;
        }
        let end = async {
            tokio::time::sleep(STORM).await;
            eventually(DRAINED, "it is a race", async || {
                let (trimmed, passes) = (self.trimmed.load(Ordering::Relaxed), self.passes.load(Ordering::Relaxed));
                ensure(passes > 20 && trimmed > 5 * MOST, || format!("{trimmed} messages went in {passes} passes"))
            })
            .await;
            self.over.cancel();
            eventually(DRAINED, "nothing waits any more", async || {
                for (_, consumer) in self.readers {
                    let waiting = self.broker.waiting(self.stream, consumer).await;
                    ensure(waiting == 0, || format!("{waiting} wait for {consumer}"))?;
                }
                Ok::<_, String>(())
            })
            .await;
            self.drained.cancel();
        };
        let publish = self.readers.iter().map(|(subject, _)| self.publish(subject));
        let consume = self.readers.iter().map(|(_, consumer)| self.consume(consumer));
        tokio::join!(
            end,
            futures::future::join_all(publish),
            futures::future::join_all(consume),
            self.trim(),
            self.trim(),
            self.make_anew(self.readers[0].1),
        );
        let left = self.broker.left(self.stream).await;
        let (published, consumed) = (self.published.lock().unwrap(), self.consumed.lock().unwrap());
        let lost: Vec<&String> = published.difference(&consumed).collect();
        assert!(lost.is_empty(), "{} of {} are lost, such as {:?}", lost.len(), published.len(), lost[0]);
        assert_eq!(published.len(), consumed.len(), "what was consumed was published");
        let trimmed = self.trimmed.load(Ordering::Relaxed);
        assert_eq!(trimmed + left, published.len() as u64, "each message was trimmed once or is there");
        let passes = self.passes.load(Ordering::Relaxed);
        println!("{}: {} messages, {trimmed} trimmed in {passes} passes", self.stream, published.len());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purge_that_races_with_publishes_acknowledgements_and_new_consumers_loses_nothing() {
    let broker = Broker::start().await;
    // With a filter each; without one; and with one message per subject, each a claim.
    let raw = [("raw.sms.support", "normalizer-sms"), ("raw.email.inbox", "normalizer-email")];
    let canonical = [("canonical.sms.support", "dedup")];
    let unique = [("unique.0.#", "persister")];
    let (raw, canonical) = (Storm::new(&broker, "RAW", &raw), Storm::new(&broker, "CANONICAL", &canonical));
    let unique = Storm::new(&broker, "UNIQUE", &unique);
    tokio::join!(raw.rage(), canonical.rage(), unique.rage());
}
