//! The loop that every worker runs: take a batch, process it, answer for it; until shutdown is asked for.
//!
//! Shutdown is looked at only between batches, so a batch that was taken is finished, or given back by a stage that
//! cannot. While one is worked on, the broker is told so, and does not deliver it to somebody else.

use std::future::Future;
use std::time::Duration;

use async_nats::Subject;
use metrics::{Counter, counter, describe_counter};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::delivery::{Delivery, Settled};
use crate::feed::Feed;
use crate::kill_point;
use crate::nats::Nats;
use crate::tasks::Outcome;

/// A third of `ack_wait`: two of these may get lost.
const STILL_WORKING: Duration = Duration::from_secs(10);
/// From this many deliveries on a message is taken alone: if it is the one that ends the process, only its own count
/// grows from here on.
const SUSPICIOUS: u64 = 5;
/// Messages that are heavier than this, in bytes, are taken alone, so that the light ones beside them need not wait.
const HEAVY: usize = 512 * 1024;
/// Suspicious messages come back so far from each other. Each is alone then, and the one that ends the process comes
/// back after `ack_wait`, when the others are gone.
const APART: Duration = Duration::from_millis(100);

/// What a worker does with a batch.
pub trait Stage: Send + Sync {
    /// Decides everything, does everything, and gives every delivery back with its answer.
    ///
    /// It may take as long as it needs; once shutdown is asked for, it gives back what it cannot finish.
    fn process(&self, batch: Vec<Delivery>) -> impl Future<Output = Vec<Settled>> + Send;

    /// The bytes that a delivery will take in memory, which are more than its own where it refers to some.
    fn weigh(&self, delivery: &Delivery) -> usize {
        delivery.payload().len()
    }
}

/// Takes batches from `feed` until `shutdown`.
pub async fn run(nats: Nats, mut feed: Feed, stage: impl Stage, shutdown: CancellationToken) -> Outcome {
    let unsettled = unsettled_counter();
    loop {
        let batch = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            batch = feed.next_batch() => batch,
        };
        kill_point::reached("worker.taken");
        let Split { together, alone, suspects } = Split::of(batch, &stage);
        let suspect = part(&nats, suspects).await;
        let turns = std::iter::once(together).chain(alone.into_iter().chain(suspect).map(|one| vec![one]));
        let mut turns: Vec<Vec<Delivery>> = turns.filter(|turn| !turn.is_empty()).collect();
        turns.reverse();
        while let Some(turn) = turns.pop() {
            if shutdown.is_cancelled() {
                turns.push(turn);
                break;
            }
            process(&nats, &stage, turn, &turns, &unsettled).await;
        }
        nats.settle(turns.into_iter().flatten().map(|delivery| delivery.retry(Duration::ZERO)).collect()).await;
    }
    feed.close().await;
    nats.flush(Duration::from_secs(2)).await;
    Ok(())
}

/// A batch by how it is taken.
struct Split {
    together: Vec<Delivery>,
    alone: Vec<Delivery>,
    suspects: Vec<Delivery>,
}

impl Split {
    fn of(batch: Vec<Delivery>, stage: &impl Stage) -> Self {
        let (suspects, batch): (Vec<_>, Vec<_>) =
            batch.into_iter().partition(|delivery| delivery.info().delivered > SUSPICIOUS);
        let (alone, together) = batch.into_iter().partition(|delivery| stage.weigh(delivery) > HEAVY);
        Self { together, alone, suspects }
    }
}

/// Keeps one suspect and gives the others back, before the one is looked at: if it ends the process, they are not in
/// our hands any more, and their count says nothing of what it did.
async fn part(nats: &Nats, suspects: Vec<Delivery>) -> Option<Delivery> {
    let mut suspects = suspects.into_iter();
    let first = suspects.next()?;
    let waits = std::iter::successors(Some(APART), |wait| Some(*wait + APART));
    let others: Vec<Settled> = suspects.zip(waits).map(|(delivery, wait)| delivery.retry(wait)).collect();
    if !others.is_empty() {
        nats.settle(others).await;
        nats.flush(Duration::from_secs(2)).await;
    }
    Some(first)
}

/// Processes `batch` while telling the broker that it and what is `waiting` behind it are still in hand.
async fn process(
    nats: &Nats,
    stage: &impl Stage,
    batch: Vec<Delivery>,
    waiting: &[Vec<Delivery>],
    unsettled: &Counter,
) {
    let taken = batch.len();
    let replies = batch.iter().chain(waiting.iter().flatten()).filter_map(Delivery::reply).collect();
    let settled = while_telling(nats, replies, stage.process(batch)).await;
    kill_point::reached("worker.processed");
    if settled.len() != taken {
        // Nothing is lost: what was not answered for comes again. But it is a fault of the program.
        unsettled.increment(taken.abs_diff(settled.len()) as u64);
        error!(taken, settled = settled.len(), "a batch was not answered for in full");
    }
    nats.settle(settled).await;
    kill_point::reached("worker.settled");
}

fn unsettled_counter() -> Counter {
    describe_counter!("penstock_worker_unsettled_total", "Deliveries that a stage did not answer for: a fault.");
    counter!("penstock_worker_unsettled_total")
}

/// Drives `work` to its end.
async fn while_telling<T>(nats: &Nats, replies: Vec<Subject>, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    let mut told = 0_u32;
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = tokio::time::sleep(STILL_WORKING) => {
                told += 1;
                let in_hand_s = STILL_WORKING.as_secs() * u64::from(told);
                warn!(messages = replies.len(), in_hand_s, "a batch is not done yet; telling the broker so");
                nats.still_working(&replies).await;
            }
        }
    }
}
