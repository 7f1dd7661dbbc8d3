//! What has to be done to the tables from time to time: months made ahead, months and keys cleared away. Everything by
//! the earlier of the broker's clock and PostgreSQL's (`retention::present`), a little at a time. What one step cannot do
//! does not stop the next.

use std::sync::Arc;
use std::time::Duration;

use proto::Millis;
use runtime::config::Retention;
use runtime::error_chain::Chain;
use runtime::nats::Nats;
use runtime::objects::Objects;
use runtime::process::Loaded;
use runtime::stream_info::Reach;
use runtime::tasks::Outcome;
use runtime::topology::{CANONICAL, DLQ, DUPLICATES, HELD, RAW, REPLAY, UNIQUE};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::expiry::Expired;
use crate::metrics::Metrics;
use crate::retention::kept::{Kept, before};
use crate::retention::present;
use crate::retention::rows::Sweeper;
use crate::store::Store;

/// How often to look.
const EVERY: Duration = Duration::from_mins(1);
/// Blocks of the tables of keys gone through by one statement, about 80 keys each.
const BLOCKS: u32 = 2000;
/// How long to go through each of the two tables, of every minute.
const SWEEPING: Duration = Duration::from_secs(5);
/// How long to delete rows that go before their month, of every minute.
const DELETING: Duration = Duration::from_secs(10);
/// Months dropped at a time: each takes a lock on its table.
const MONTHS: usize = 2;
/// Files deleted at a time.
const FILES: usize = 10_000;
/// Every stream that can hold a record still to be judged, or a request that can be read again.
pub(crate) const RECORDS: [&str; 7] = [RAW, HELD, REPLAY, CANONICAL, UNIQUE, DUPLICATES, DLQ];

/// Looks after the tables until shutdown. `streams` is how long streams keep what is in them: that is read at start, and
/// how long rows are kept with every reload, which is followed by a look at once.
pub async fn run(
    nats: Nats,
    store: Arc<Store>,
    mut loaded: watch::Receiver<Arc<Loaded>>,
    streams: Retention,
    objects: Option<Objects>,
    metrics: Arc<Metrics>,
    shutdown: CancellationToken,
) -> Outcome {
    let mut sweeper = Sweeper::default();
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            _ = tick.tick() => {}
            changed = loaded.changed() => changed?,
        }
        let (retention, kept) = {
            let config = &loaded.borrow_and_update().config;
            (in_force(&streams, &config.retention), Kept::of(config).not_below(streams.raw))
        };
        let look = async {
            let time = present::reach(&nats, &store).await;
            let Some(reach) = done(&metrics, "ask for the time, without which nothing is cleared away", time) else {
                return;
            };
            look_after(&store, reach, &retention, &metrics).await;
            let late = nothing_comes_before(reach.oldest, &retention);
            done(&metrics, "delete old rows", sweeper.sweep(&store, &kept, reach, late, DELETING, &metrics).await);
            if let (Some(objects), Some(age)) = (&objects, retention.messages) {
                clear_files(&store, objects, before(reach.now, age), &metrics).await;
            }
        };
        // Each statement is whole by itself, so it may be cut off between any two.
        if shutdown.run_until_cancelled(look).await.is_none() {
            return Ok(());
        }
    }
}

/// Does once what is to be done every minute.
pub async fn look_after(store: &Store, reach: Reach, retention: &Retention, metrics: &Metrics) {
    if let Some(present) = Millis::from_unix(reach.now) {
        done(metrics, "make the coming months", store.make_months(present).await);
    }
    if let Some(cutoff) = retention.messages.and_then(|age| before(reach.now, age)) {
        let mut dropped = Vec::new();
        done(metrics, "drop the months that are over", store.drop_months(cutoff, MONTHS, &mut dropped).await);
        for dropped in dropped {
            metrics.months.increment(1);
            info!(table = dropped.table, "dropped a month whose retention is over");
        }
    }
    if let Some(before) = keys_before(reach.oldest, retention) {
        let expired = Expired { before, erased_before: before };
        if let Some(swept) =
            done(metrics, "clear away expired keys", store.delete_expired_keys(expired, BLOCKS, SWEEPING).await)
        {
            metrics.expired.increment(swept.deleted);
        }
    }
}

/// Deletes files of months that are over and whose partition is gone: in that order, so that no row refers to a file that
/// is not there. Months that went while the store was away are found by what is in it.
pub async fn clear_files(store: &Store, objects: &Objects, cutoff: Option<Millis>, metrics: &Metrics) {
    let Some(cutoff) = cutoff else { return };
    let Some(needed) = done(metrics, "learn which files are needed", store.needed_files(cutoff).await) else { return };
    let months = done(metrics, "list the months of the attachment store", objects.months().await).unwrap_or_default();
    let mut left = FILES;
    // A month that cannot be cleared does not stop the others.
    for month in months.iter().filter(|month| needed.is_over(month)) {
        if left == 0 {
            return;
        }
        if let Some(deleted) = done(metrics, "delete the files of a month", objects.delete_month(month, left).await) {
            metrics.deleted_files.increment(deleted);
            left = left.saturating_sub(usize::try_from(deleted).unwrap_or(left));
            if deleted > 0 {
                info!(month, files = deleted, "deleted files of a month whose retention is over");
            }
        }
    }
}

fn done<T, E: std::error::Error + 'static>(metrics: &Metrics, what: &str, result: Result<T, E>) -> Option<T> {
    let failed = |error: &E| {
        metrics.upkeep_failures.increment(1);
        warn!(error = %Chain(error), "could not {what}; trying again in a minute");
    };
    result.inspect_err(failed).ok()
}

/// Up to when keys may have expired to be deleted, where the oldest message of any stream was stored at `oldest`: once
/// no record that could repeat one of them is left.
///
/// A stream tells when a message was stored in it, and a record may be much older than that: held, then released; kept
/// in RAW, then replayed; dead-lettered at last. So a key outlives its window by the longest of these stays.
///
/// A key takes about 150 bytes with its index: 4.5 GB for each million messages a day that are kept for 30 days more.
fn keys_before(oldest: i64, retention: &Retention) -> Option<Millis> {
    before(oldest, retention.raw.max(retention.held).max(retention.dlq))
}

/// Before when nothing was received that can still come, where the oldest message of any stream was stored at `oldest`.
///
/// More careful than for keys: a record may have lain to the end in one stream and then in the next. What is decided by
/// this is not worse for being late.
pub(crate) fn nothing_comes_before(oldest: i64, streams: &Retention) -> Option<Millis> {
    before(oldest, streams.raw.saturating_add(streams.held).saturating_add(streams.dlq))
}

/// How long what is kept: streams as it was at start, when their trimming began, and rows as it is now, but not shorter than
/// their requests.
fn in_force(streams: &Retention, now: &Retention) -> Retention {
    let messages = now.messages.map(|time| time.max(streams.raw));
    Retention { raw: streams.raw, held: streams.held, dlq: streams.dlq, messages, ..now.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    const DAY: i64 = 86_400_000;

    fn retention(raw: u64, held: u64, dlq: u64, messages: Option<u64>) -> Retention {
        let days = |days: u64| Duration::from_hours(24 * days);
        let [raw, held, dlq] = [raw, held, dlq].map(days);
        Retention { raw, held, dlq, messages: messages.map(days), channels: BTreeMap::new() }
    }

    #[test]
    fn a_key_outlives_the_longest_stay_of_a_record_that_may_repeat_it() {
        assert_eq!(keys_before(100 * DAY, &retention(7, 20, 30, None)), Millis::from_unix(70 * DAY));
        assert_eq!(keys_before(100 * DAY, &retention(7, 40, 30, None)), Millis::from_unix(60 * DAY));
    }

    #[test]
    fn nothing_is_older_than_a_record_that_has_lain_in_one_stream_after_the_other() {
        assert_eq!(nothing_comes_before(100 * DAY, &retention(7, 20, 30, None)), Millis::from_unix(43 * DAY));
    }

    #[test]
    fn a_reload_changes_how_long_rows_are_kept_and_not_what_streams_are_known_to_hold() {
        let start = retention(7, 20, 30, None);
        assert_eq!(in_force(&start, &retention(1, 1, 7, Some(60))), retention(7, 20, 30, Some(60)));
        assert_eq!(in_force(&start, &retention(1, 1, 7, Some(2))), retention(7, 20, 30, Some(7)));
        assert_eq!(in_force(&start, &retention(1, 1, 7, None)), retention(7, 20, 30, None));
    }

    #[test]
    fn a_time_that_cannot_be_read_clears_nothing_away() {
        let retention = retention(1, 1, 1, Some(1));
        assert_eq!(keys_before(i64::MIN, &retention), None);
        assert_eq!(nothing_comes_before(i64::MIN, &retention), None);
    }
}
