//! Asks the database every few seconds whether it answers, so that a persister that has nothing to write knows, too.
//!
//! It alone tells of `postgres`. The stages tell of what they write themselves: a database that answers may still
//! refuse, and an answer here must not hide that.

use std::sync::Arc;
use std::time::Duration;

use runtime::error_chain::Chain;
use runtime::health::Dependency;
use runtime::tasks::Outcome;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::store::Store;

/// Between two questions.
const EVERY: Duration = Duration::from_secs(3);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks until shutdown.
pub async fn run(store: Arc<Store>, database: Dependency, shutdown: CancellationToken) -> Outcome {
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            _ = tick.tick() => {}
        }
        match tokio::time::timeout(PATIENCE, store.ping()).await {
            Ok(Ok(())) => database.ok("answers"),
            Ok(Err(error)) => database.failed(Chain(&error).to_string()),
            Err(_) => database.failed(format!("no answer within {} seconds", PATIENCE.as_secs())),
        }
    }
}
