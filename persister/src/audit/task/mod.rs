//! The audit, all the time: reads the headers of `RAW` some time behind, and acknowledges what is accounted for.
//!
//! What is not stays in hand, unacknowledged, so the broker remembers it: over restarts, and for whichever persister
//! takes it next. What is missing stays until it gets its endings, by a replay, or `RAW` lets go of it.
//!
//! It is beside the work of this process, never in its way: it does not tell whether the process is ready, it rests
//! longer than it works, and where it cannot look it counts that and tries again.

mod examine;
mod raw;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use runtime::delivery::{Delivery, Settled};
use runtime::error_chain::Chain;
use runtime::feed::{BatchLimits, Feed};
use runtime::health::Health;
use runtime::nats::Nats;
use runtime::process::Loaded;
use runtime::stream_info::{ConsumerInfo, InfoError};
use runtime::tasks::Outcome;
use runtime::topology::{AUDIT, RAW};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::audit::course::Course;
use crate::audit::request::Request;
use crate::audit::view;
use crate::headers::Headers;
use crate::metrics::AuditMetrics;
use crate::store::Store;

/// How far behind the broker's storing: by then nearly everything has ended, and is looked at once.
const BEHIND: i64 = 10_000;
/// Requests looked up at a time.
const BATCH: usize = 500;
/// Requests in hand. With so many that do not end it stands still, and says so.
const MOST: usize = 5_000;
/// A turn is at most so far from the next.
const TURN: Duration = Duration::from_secs(1);
/// Between two looks at how far the stages are, while something is in hand.
const STEP: Duration = Duration::from_secs(2);
/// Between two looks at `RAW` and this consumer.
const LOOK: Duration = Duration::from_secs(5);
/// Between two looks at what is in hand, if no pass of the course comes to its end before.
const AGAIN: Duration = Duration::from_secs(15);
/// A third of `ack_wait`: two of these may get lost.
const KEEP: Duration = Duration::from_secs(10);
/// After a full batch it rests so many times as long as it worked, and not longer than this.
const REST: (u32, Duration) = (3, Duration::from_millis(500));
/// Between two tries to begin.
const BEGIN: Duration = Duration::from_secs(30);
/// After a look that failed.
const RETRY: Duration = Duration::from_secs(5);
/// Between two lines of the log that say that it cannot look.
const BETWEEN_TOLD: Duration = Duration::from_mins(1);

/// Audits until shutdown. How long rows are kept is as `loaded` says when it looks, and not shorter than `raw`, for which
/// requests are kept since start.
pub(crate) async fn run(
    nats: Nats,
    store: Arc<Store>,
    loaded: watch::Receiver<Arc<Loaded>>,
    raw: Duration,
    shutdown: CancellationToken,
) -> Outcome {
    let metrics = AuditMetrics::at_zero();
    while let Err(error) = nats.check_consumer(RAW, AUDIT.name).await {
        metrics.failures.increment(1);
        warn!(error = %Chain(&error), "the audit does not run; nothing else needs it");
        if shutdown.run_until_cancelled(sleep(BEGIN)).await.is_none() {
            return Ok(());
        }
    }
    // Health of its own: a persister that cannot audit does its job all the same.
    let health = Health::default().dependency(AUDIT.name);
    let limits = BatchLimits { messages: BATCH, linger: TURN / 2 };
    let mut feed = Feed::new(nats.clone(), RAW, AUDIT.name, limits, health);
    let mut audit = Audit::new(nats, store, metrics, loaded, raw);
    let mut tick = interval(TURN);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let rested = Instant::now() >= audit.rests_until;
        let room = audit.fresh.is_empty() && audit.open.len() < MOST;
        tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            _ = tick.tick() => {}
            () = sleep_until(audit.rests_until), if !rested => continue,
            batch = feed.next_batch(), if rested && room => audit.take(batch).await,
        }
        // Cut off, it has answered for nothing that it has not looked at.
        if shutdown.run_until_cancelled(audit.turn()).await.is_none() {
            break;
        }
    }
    let left = std::mem::take(&mut audit.open).into_values().chain(audit.fresh.drain(..));
    audit.nats.settle(left.map(|held| held.delivery.retry(Duration::ZERO)).collect()).await;
    feed.close().await;
    Ok(())
}

/// A request in hand.
struct Held {
    delivery: Delivery,
    request: Request,
    missing: bool,
}

struct Audit {
    nats: Nats,
    store: Arc<Store>,
    metrics: AuditMetrics,
    loaded: watch::Receiver<Arc<Loaded>>,
    /// How long requests are kept.
    raw: Duration,
    course: Course,
    /// Not looked up yet.
    fresh: Vec<Held>,
    /// Looked up, and not accounted for; by sequence, so that one delivered again takes its own place.
    open: BTreeMap<u64, Held>,
    /// The broker's time, and when it was that.
    clock: Option<(i64, Instant)>,
    /// This consumer, and when it was last seen.
    seen: Option<(ConsumerInfo, Instant)>,
    /// When something was last read, or nothing was there to be read.
    moved_at: Instant,
    rests_until: Instant,
    kept_at: Instant,
    looked_at: Option<Instant>,
    stepped_at: Option<Instant>,
    examined_at: Instant,
    /// When the log was last told that it cannot look.
    told_at: Option<Instant>,
}

impl Audit {
    fn new(
        nats: Nats,
        store: Arc<Store>,
        metrics: AuditMetrics,
        loaded: watch::Receiver<Arc<Loaded>>,
        raw: Duration,
    ) -> Self {
        let now = Instant::now();
        Self {
            nats,
            store,
            metrics,
            loaded,
            raw,
            course: Course::default(),
            fresh: Vec::new(),
            open: BTreeMap::new(),
            clock: None,
            seen: None,
            moved_at: now,
            rests_until: now,
            kept_at: now,
            looked_at: None,
            stepped_at: None,
            examined_at: now,
            told_at: None,
        }
    }

    async fn take(&mut self, batch: Vec<Delivery>) {
        self.moved_at = Instant::now();
        let mut settled = Vec::new();
        for delivery in batch {
            let sequence = delivery.info().stream_sequence;
            match Request::read(delivery.subject(), sequence, &Headers(&delivery)) {
                Some(request) => match self.open.get_mut(&sequence) {
                    // It was not kept in time and came again: the newer delivery is the one to answer for.
                    Some(held) => held.delivery = delivery.without_content(),
                    None => self.fresh.push(Held { delivery, request, missing: false }),
                },
                None => settled.push(self.not_ours(delivery)),
            }
        }
        self.nats.settle(settled).await;
    }

    fn not_ours(&self, delivery: Delivery) -> Settled {
        self.metrics.strangers.increment(1);
        delivery.ack()
    }

    async fn turn(&mut self) {
        let begun = Instant::now();
        if self.kept_at.elapsed() >= KEEP {
            self.kept_at = begun;
            self.nats.keep(self.open.values().chain(&self.fresh).map(|held| &held.delivery)).await;
        }
        if self.looked_at.is_none_or(|at| at.elapsed() >= LOOK) {
            self.looked_at = Some(begun);
            let looked = self.look_at_raw().await;
            self.metrics.running.set(if looked.is_ok() { 1.0 } else { 0.0 });
            self.note(looked);
        }
        let mut through = false;
        if !self.open.is_empty() && self.stepped_at.is_none_or(|at| at.elapsed() >= STEP) {
            self.stepped_at = Some(begun);
            let seen = view::snapshot(&self.nats).await;
            through = seen.as_ref().is_ok_and(|now| self.course.observe(now));
            self.note(seen.map(drop));
        }
        if through || (!self.open.is_empty() && self.examined_at.elapsed() >= AGAIN) {
            self.examined_at = begun;
            if let Err(error) = self.examine().await {
                self.failed(&error);
            }
        }
        if Instant::now() >= self.rests_until && self.fresh_is_due() {
            let full = self.fresh.len() >= BATCH;
            let looked_up = Instant::now();
            match self.look_up().await {
                Ok(()) if full => self.rests_until = Instant::now() + (looked_up.elapsed() * REST.0).min(REST.1),
                Ok(()) => {}
                Err(error) => self.failed(&error),
            }
        }
        self.tell();
    }

    fn note(&mut self, looked: Result<(), InfoError>) {
        if let Err(error) = looked {
            self.failed(&error);
        }
    }

    fn failed(&mut self, error: &(dyn std::error::Error + 'static)) {
        self.metrics.failures.increment(1);
        self.rests_until = Instant::now() + RETRY;
        if self.told_at.is_none_or(|at| at.elapsed() >= BETWEEN_TOLD) {
            self.told_at = Some(Instant::now());
            warn!(error = %Chain(error), "the audit could not look; trying again");
        }
    }

    /// The broker's time, where it is known.
    fn now(&self) -> Option<i64> {
        let (then, at) = self.clock?;
        Some(then.saturating_add(i64::try_from(at.elapsed().as_millis()).unwrap_or(i64::MAX)))
    }

    fn fresh_is_due(&self) -> bool {
        match (self.fresh.last(), self.now()) {
            (Some(youngest), Some(now)) => now.saturating_sub(youngest.delivery.info().stored_at) >= BEHIND,
            _ => false,
        }
    }
}
