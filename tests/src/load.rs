//! Writers that send unique and repeated messages until they are told to stop, and note every answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::client::NoAnswer;
use crate::ledger::{Delivery, Outcome};
use crate::mix::{Letter, Mix};
use crate::random::Random;

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
    mix: Mix,
    random: Random,
    stop: Arc<AtomicBool>,
    accepted: Arc<AtomicU64>,
    deliveries: Vec<Delivery>,
}

impl Load {
    /// Starts them. One that gets no connection tries the next gateway, as a balancer does.
    pub fn start(gateways: &[String], mix: &Mix, writers: usize, random: &mut Random) -> Self {
        let (stop, accepted) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut set = JoinSet::new();
        for name in 0..writers {
            let writer = Writer {
                name,
                gateways: gateways.to_vec(),
                mix: mix.clone(),
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
            sleep(PACE).await;
        }
        self.deliveries
    }

    /// Until it is accepted, as a provider does, or the load ends.
    async fn deliver(&mut self, number: u64) {
        let mut gateway = self.name;
        loop {
            let Letter { request, messages } = self.mix.letter(self.name, number);
            let begun = Instant::now();
            let outcome = match request.send(&self.gateways[gateway % self.gateways.len()]).await {
                // A 200 of which the gateway does not say where it is stored fails the test.
                Ok(answer) if answer.status == 200 && answer.sequence() > 0 => Outcome::Accepted(answer.id()),
                Ok(answer) => Outcome::Refused(answer.status),
                Err(NoAnswer::NotSent(_)) => Outcome::NotSent,
                Err(NoAnswer::Cut(reason)) => Outcome::Unknown(reason),
            };
            let (done, not_sent) = (matches!(outcome, Outcome::Accepted(_)), outcome == Outcome::NotSent);
            let (at, took) = (Instant::now(), begun.elapsed());
            for (message, end) in messages {
                self.deliveries.push(Delivery { message, end, outcome: outcome.clone(), at, took });
            }
            if done {
                self.accepted.fetch_add(1, Ordering::Relaxed);
                return;
            }
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            gateway += usize::from(not_sent);
            sleep(if not_sent && self.gateways.len() > 1 { Duration::ZERO } else { AGAIN }).await;
        }
    }
}
