//! Deletes files that no row refers to any more, from months that nothing can come from.
//!
//! A file is stored before its record is passed on, and again by each replay, so that no row refers to it says nothing
//! while its request may still be somewhere. A month is looked at once it was over before everything that any stream
//! holds can have come in, and of its files only what was not stored again since: from then on no record can refer to a
//! file but those that have their rows. A month without a partition is not for here: see
//! [`housekeeping`](crate::housekeeping).

use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt as _;
use proto::Millis;
use runtime::config::Retention;
use runtime::error_chain::Chain;
use runtime::nats::Nats;
use runtime::objects::{Objects, ObjectsError};
use runtime::process::Loaded;
use runtime::tasks::Outcome;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::housekeeping::nothing_comes_before;
use crate::metrics::Metrics;
use crate::retention::kept::Kept;
use crate::retention::present::{self, TimeError};
use crate::store::{Store, StoreError};

/// How often to go through the store: every file of months that are over is listed.
const EVERY: Duration = Duration::from_hours(24);
/// Files asked about and deleted at a time.
const FILES: usize = 1000;

/// Why files could not be cleared away. Tried again the next day: nothing waits for it.
#[derive(Debug, thiserror::Error)]
pub enum ClearError {
    /// What streams hold is not known, or what time it is.
    #[error(transparent)]
    Reach(#[from] TimeError),
    /// What rows refer to is not known.
    #[error(transparent)]
    Tables(#[from] StoreError),
    /// The store does not answer.
    #[error(transparent)]
    Objects(#[from] ObjectsError),
}

/// Clears away files until shutdown, while rows of some are kept for a shorter time than all. `streams` is how long
/// streams keep what is in them.
pub(crate) async fn run(
    nats: Nats,
    store: Arc<Store>,
    objects: Objects,
    loaded: watch::Receiver<Arc<Loaded>>,
    streams: Retention,
    metrics: Arc<Metrics>,
    shutdown: CancellationToken,
) -> Outcome {
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            _ = tick.tick() => {}
        }
        if Kept::of(&loaded.borrow().config).groups().is_empty() {
            continue;
        }
        let look = async {
            let reach = present::reach(&nats, &store).await?;
            match nothing_comes_before(reach.oldest, &streams) {
                Some(settled) => clear_unneeded(&store, &objects, settled, &metrics).await,
                None => Ok(()),
            }
        };
        // Cut off, it has deleted some, which is all that it ever does.
        match shutdown.run_until_cancelled(look).await {
            Some(Err(error)) => {
                metrics.upkeep_failures.increment(1);
                warn!(error = %Chain(&error), "could not clear away files that no row refers to; trying again tomorrow");
            }
            Some(Ok(())) => {}
            None => return Ok(()),
        }
    }
}

/// Deletes the files that no row refers to, of months that are there and were over before `settled`, as far as they were
/// last stored before that too. A month of which not all can be cleared away does not stop the others; the first failure is
/// told.
pub async fn clear_unneeded(
    store: &Store,
    objects: &Objects,
    settled: Millis,
    metrics: &Metrics,
) -> Result<(), ClearError> {
    let needed = store.needed_files(settled).await?;
    let mut failed = None;
    for month in objects.months().await?.iter().filter(|month| needed.is_settled(month)) {
        let mut deleted = 0;
        if let Err(error) = clear_month(store, objects, month, settled, &mut deleted).await {
            failed.get_or_insert(error);
        }
        metrics.deleted_files.increment(deleted);
        if deleted > 0 {
            info!(month, files = deleted, "deleted files that no row refers to any more");
        }
    }
    failed.map_or(Ok(()), Err)
}

async fn clear_month(
    store: &Store,
    objects: &Objects,
    month: &str,
    settled: Millis,
    deleted: &mut u64,
) -> Result<(), ClearError> {
    let mut files = objects.stored_before(month, settled.as_unix()).try_chunks(FILES);
    let mut failed = None;
    while let Some(some) = files.try_next().await.map_err(|error| error.1)? {
        let unneeded = store.unreferenced(month, &some).await?;
        match objects.delete(month, unneeded).await {
            Ok(gone) => *deleted += gone,
            // The others may well be deleted.
            Err(error) => drop(failed.get_or_insert(error)),
        }
    }
    failed.map_or(Ok(()), |error| Err(error.into()))
}
