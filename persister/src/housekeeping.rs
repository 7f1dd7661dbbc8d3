//! What has to be done to the tables from time to time: months made ahead, months and keys cleared away. Everything by
//! the broker's clock, a little at a time.

use std::sync::Arc;
use std::time::Duration;

use proto::Millis;
use runtime::error_chain::Chain;
use runtime::nats::Nats;
use runtime::tasks::Outcome;
use runtime::topology::{CANONICAL, DLQ, DUPLICATES, HELD, RAW, REPLAY, UNIQUE};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::expiry::Expired;
use crate::metrics::Metrics;
use crate::store::{Store, StoreError};

/// How often to look.
const EVERY: Duration = Duration::from_mins(1);
/// Blocks of the tables of keys gone through at a time, about 70 keys each.
const BLOCKS: u32 = 2000;
/// Months dropped at a time: each takes a lock on its table.
const MONTHS: usize = 2;
/// A record and the message that carries it are seconds apart; an hour is a broad margin.
const MARGIN_MS: i64 = 3_600_000;
/// Every stream that can hold a record still to be judged, or a request that can be read again.
const RECORDS: [&str; 7] = [RAW, HELD, REPLAY, CANONICAL, UNIQUE, DUPLICATES, DLQ];

/// Looks after the tables until shutdown.
pub async fn run(
    nats: Nats,
    store: Arc<Store>,
    retention: Option<Duration>,
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
        let reach = match nats.reach(&RECORDS).await {
            Ok(reach) => reach,
            Err(error) => {
                warn!(error = %Chain(&error), "could not ask for the broker's time; nothing is cleared away");
                continue;
            }
        };
        if let Err(error) = look_after(&store, reach.now, reach.oldest, retention, &metrics).await {
            warn!(error = %Chain(&error), "could not look after the tables; trying again in a minute");
        }
    }
}

async fn look_after(
    store: &Store,
    now: i64,
    oldest: i64,
    retention: Option<Duration>,
    metrics: &Metrics,
) -> Result<(), StoreError> {
    let Some(present) = Millis::from_unix(now) else { return Ok(()) };
    store.make_months(present).await?;
    if let Some(cutoff) = retention.and_then(|age| Millis::from_unix(now.saturating_sub(millis(age)))) {
        for dropped in store.drop_months(cutoff, MONTHS).await? {
            metrics.months.increment(1);
            info!(table = dropped.table, "dropped a month whose retention is over");
        }
    }
    // A key may go once no record that could repeat it is left anywhere.
    if let Some(before) = Millis::from_unix(oldest.saturating_sub(MARGIN_MS)) {
        let swept = store.delete_expired_keys(Expired { before, erased_before: before }, BLOCKS).await?;
        metrics.expired.increment(swept.deleted);
    }
    Ok(())
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
