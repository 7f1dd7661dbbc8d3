//! Writers that send unique and repeated messages until they are told to stop, and note every answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;

use crate::client::NoAnswer;
use crate::config::STANDARD;
use crate::ledger::{Delivery, Outcome};
use crate::random::Random;
use crate::sign::standard_request;

/// Between two attempts of a writer.
const PACE: Duration = Duration::from_millis(15);
/// Before a refused message is tried again.
const AGAIN: Duration = Duration::from_millis(100);

/// Writers at work.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    accepted: Arc<AtomicU64>,
    writers: JoinSet<Vec<Delivery>>,
}

/// What one of them needs.
struct Writer {
    name: usize,
    gateways: Vec<String>,
    source: String,
    random: Random,
    stop: Arc<AtomicBool>,
    accepted: Arc<AtomicU64>,
    deliveries: Vec<Delivery>,
}

impl Load {
    /// Starts them on a source of signed webhooks. One that gets no connection tries the next gateway, as a balancer
    /// does.
    pub fn start(gateways: &[String], source: &str, writers: usize, random: &mut Random) -> Self {
        let (stop, accepted) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut set = JoinSet::new();
        for name in 0..writers {
            let writer = Writer {
                name,
                gateways: gateways.to_vec(),
                source: source.to_owned(),
                random: Random::fixed(random.bits()),
                stop: Arc::clone(&stop),
                accepted: Arc::clone(&accepted),
                deliveries: Vec::new(),
            };
            set.spawn(writer.run());
        }
        Self { stop, accepted, writers: set }
    }

    /// How many requests were accepted until now.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Waits until so many more have been accepted.
    pub async fn more(&self, count: u64, within: Duration) {
        let until = self.accepted() + count;
        crate::eventually(within, &format!("{count} more are accepted"), async || {
            crate::eventually::ensure(self.accepted() >= until, || format!("{} of {until}", self.accepted()))
        })
        .await;
    }

    /// Ends them, and gives all that they noted.
    pub async fn stop(mut self) -> Vec<Delivery> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Vec::new();
        while let Some(notes) = self.writers.join_next().await {
            all.extend(notes.expect("a writer does not fail"));
        }
        all
    }
}

impl Writer {
    async fn run(mut self) -> Vec<Delivery> {
        let mut counter = 0_u64;
        while !self.stop.load(Ordering::Relaxed) {
            // A quarter are repeats of any earlier message of this writer.
            let number = if counter > 0 && self.random.below(4) == 0 {
                self.random.below(counter)
            } else {
                counter += 1;
                counter - 1
            };
            self.deliver(number).await;
            tokio::time::sleep(PACE).await;
        }
        self.deliveries
    }

    /// Until it is accepted, as a provider does, or the load ends.
    async fn deliver(&mut self, number: u64) {
        let message = format!("{}-{number}", self.name);
        let body = format!("{{\"text\":\"{message}\",\"n\":{number}}}");
        let mut gateway = self.name;
        loop {
            let url = &self.gateways[gateway % self.gateways.len()];
            let outcome = match standard_request(STANDARD, &self.source, &message, &body).send(url).await {
                Ok(answer) if answer.status == 200 => Outcome::Accepted(answer.accepted()),
                Ok(answer) => Outcome::Refused(answer.status),
                Err(NoAnswer::NotSent(_)) => Outcome::NotSent,
                Err(NoAnswer::Cut(reason)) => Outcome::Unknown(reason),
            };
            let (done, not_sent) = (matches!(outcome, Outcome::Accepted(_)), outcome == Outcome::NotSent);
            self.deliveries.push(Delivery { message: message.clone(), outcome });
            if done {
                self.accepted.fetch_add(1, Ordering::Relaxed);
                return;
            }
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            gateway += usize::from(not_sent);
            tokio::time::sleep(if not_sent && self.gateways.len() > 1 { Duration::ZERO } else { AGAIN }).await;
        }
    }
}
