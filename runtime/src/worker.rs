//! The loop that every worker runs: take a batch, process it, answer for it; until shutdown is asked for.
//!
//! Shutdown is looked at only between batches, so a batch that was taken is finished. While one is worked on, the
//! broker is told so, and does not deliver it to somebody else.

use std::future::Future;
use std::time::Duration;

use async_nats::Subject;
use metrics::{Counter, counter, describe_counter};
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::delivery::{Delivery, Settled};
use crate::feed::Feed;
use crate::nats::Nats;
use crate::tasks::Outcome;

/// A third of `ack_wait`: two of these may get lost.
const STILL_WORKING: Duration = Duration::from_secs(10);

/// What a worker does with a batch.
pub trait Stage: Send + Sync {
    /// Decides everything, does everything, and gives every delivery back with its answer.
    fn process(&self, batch: Vec<Delivery>) -> impl Future<Output = Vec<Settled>> + Send;
}

/// From this many deliveries on a message is taken alone: if it is the one that kills the process, only its own count
/// grows from here on.
const SUSPICIOUS: u64 = 5;

/// Takes batches from `feed` until `shutdown`.
pub async fn run(nats: Nats, mut feed: Feed, stage: impl Stage, shutdown: CancellationToken) -> Outcome {
    let unsettled = unsettled_counter();
    loop {
        let batch = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            batch = feed.next_batch() => batch,
        };
        let (suspects, batch): (Vec<_>, Vec<_>) =
            batch.into_iter().partition(|delivery| delivery.info().delivered > SUSPICIOUS);
        process(&nats, &stage, batch, &unsettled).await;
        for suspect in suspects {
            process(&nats, &stage, vec![suspect], &unsettled).await;
        }
    }
    feed.close().await;
    nats.flush(Duration::from_secs(2)).await;
    Ok(())
}

async fn process(nats: &Nats, stage: &impl Stage, batch: Vec<Delivery>, unsettled: &Counter) {
    let taken = batch.len();
    if taken == 0 {
        return;
    }
    let replies = batch.iter().filter_map(Delivery::reply).collect();
    let settled = while_telling(nats, replies, stage.process(batch)).await;
    if settled.len() != taken {
        // Nothing is lost: what was not answered for comes again. But it is a fault of the program.
        unsettled.increment(taken.abs_diff(settled.len()) as u64);
        error!(taken, settled = settled.len(), "a batch was not answered for in full");
    }
    nats.settle(settled).await;
}

fn unsettled_counter() -> Counter {
    describe_counter!("penstock_worker_unsettled_total", "Deliveries that a stage did not answer for: a fault.");
    counter!("penstock_worker_unsettled_total")
}

/// Drives `work` to its end.
async fn while_telling<T>(nats: &Nats, replies: Vec<Subject>, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = tokio::time::sleep(STILL_WORKING) => nats.still_working(&replies).await,
        }
    }
}
