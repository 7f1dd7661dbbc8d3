//! The limits of sources, which all gateways keep together: what of [`crate::bucket`] waits, and asks NATS.
//!
//! A request spends a token that is in hand; none waits for NATS but the first after a pause. One task leases for all
//! sources, many at a time and one at a time for each. Killed in between, tokens are lost that nobody has used: the limit
//! lets a few less through for a moment.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use runtime::clock::now_millis;
use runtime::config::Rate;
use runtime::counters::Added;
use runtime::error_chain::Chain;
use runtime::nats::Nats;
use runtime::tasks::Outcome;
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout_at;
use tracing::warn;

use crate::bucket::{Bucket, Increment, Leased, Limit, Micros, TRIES, Take};
use crate::clock::BrokerClock;
use crate::limits::Over;
use crate::metrics::Leases;
use crate::throttle::Throttle;

/// How long a request waits for a lease, and a lease for NATS. Then the gateway's share counts.
const WAIT: Duration = Duration::from_millis(250);
/// Leases that wait to be begun: each source has four limits.
const WAITING: usize = 4096;
/// One log line in a minute about leases that fail.
const LOG_EVERY_MS: i64 = 60_000;

/// One limit that all gateways keep together.
#[derive(Debug)]
pub struct Shared {
    /// The counter's name in NATS. Another rate is another counter: its numbers mean another time.
    counter: String,
    bucket: Mutex<Bucket>,
    /// A lease has ended.
    leased: Notify,
}

impl Shared {
    /// The limit on what `sender` sends to a source, `times` over.
    pub fn new(source: &str, sender: &str, rate: Rate, times: u32) -> Self {
        let times_over = |number: u32| u64::from(number.max(1)) * u64::from(times);
        let limit = Limit { per_second: times_over(rate.per_second), burst: times_over(rate.burst) };
        Self {
            counter: format!("{source}.{sender}.{times}.{}", rate.per_second),
            bucket: Mutex::new(Bucket::new(limit)),
            leased: Notify::new(),
        }
    }

    fn bucket(&self) -> MutexGuard<'_, Bucket> {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A lease that is to be had.
struct Wanted {
    shared: Arc<Shared>,
    count: u64,
}

/// What a gateway knows of the others, and how it leases.
pub struct Fleet {
    clock: Arc<BrokerClock>,
    gateways: Arc<AtomicU64>,
    wanted: mpsc::Sender<Wanted>,
    metrics: Arc<Leases>,
}

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fleet").field("gateways", &self.gateways).finish_non_exhaustive()
    }
}

impl Fleet {
    /// A fleet of so many gateways, and the task that leases. The task ends when the fleet is gone.
    pub fn new(
        nats: Nats,
        clock: Arc<BrokerClock>,
        gateways: Arc<AtomicU64>,
        metrics: Arc<Leases>,
    ) -> (Self, impl Future<Output = Outcome> + Send) {
        let (sender, receiver) = mpsc::channel(WAITING);
        let lessee = Lessee {
            nats,
            clock: Arc::clone(&clock),
            metrics: Arc::clone(&metrics),
            failures: Throttle::new(LOG_EVERY_MS),
        };
        (Self { clock, gateways, wanted: sender, metrics }, lessee.run(receiver))
    }

    /// Takes a token; where there is none, says when the next one may be had.
    pub async fn take(&self, shared: &Arc<Shared>) -> Result<(), Over> {
        let begun = Instant::now();
        let deadline = tokio::time::Instant::now() + WAIT;
        shared.bucket().arrived(now(&self.clock, begun));
        loop {
            // From here on it hears of every lease that ends.
            let leased = shared.leased.notified();
            if let Some(result) = self.try_take(shared) {
                return result;
            }
            if timeout_at(deadline, leased).await.is_err() {
                self.metrics.of_share.increment(1);
                let mut bucket = shared.bucket();
                let take = bucket.take_of_share(now(&self.clock, Instant::now()), self.gateways());
                return result(take, bucket.limit()).unwrap_or(Ok(()));
            }
        }
    }

    fn gateways(&self) -> u64 {
        self.gateways.load(Ordering::Relaxed)
    }

    /// `None` where a lease has to end first.
    fn try_take(&self, shared: &Arc<Shared>) -> Option<Result<(), Over>> {
        let (now, gateways) = (now(&self.clock, Instant::now()), self.gateways());
        let mut bucket = shared.bucket();
        if bucket.is_alone(now) {
            self.metrics.of_share.increment(1);
        }
        let mut take = bucket.take(now, gateways);
        if let Some(count) = bucket.lease(now, gateways)
            && self.wanted.try_send(Wanted { shared: Arc::clone(shared), count }).is_err()
        {
            // More wait than can be; nobody would tell this one of the end of a lease that was not begun.
            bucket.failed(now);
            if take == Take::Unknown {
                take = bucket.take(now, gateways);
            }
        }
        result(take, bucket.limit())
    }
}

fn result(take: Take, limit: Limit) -> Option<Result<(), Over>> {
    match take {
        Take::Taken => Some(Ok(())),
        Take::Over(wait) => Some(Err(Over::of_source(limit, wait))),
        Take::Unknown => None,
    }
}

/// The broker's time, or this machine's as long as that is not known: nothing is stored before it is.
fn now(clock: &BrokerClock, now: Instant) -> Micros {
    clock.micros(now).unwrap_or_else(|| u64::try_from(now_millis()).unwrap_or(0).saturating_mul(1000))
}

/// Who leases.
struct Lessee {
    nats: Nats,
    clock: Arc<BrokerClock>,
    metrics: Arc<Leases>,
    failures: Throttle,
}

impl Lessee {
    async fn run(self, mut wanted: mpsc::Receiver<Wanted>) -> Outcome {
        let mut under_way = FuturesUnordered::new();
        loop {
            tokio::select! {
                next = wanted.recv() => match next {
                    Some(wanted) => under_way.push(self.lease(wanted)),
                    None => break,
                },
                Some(()) = under_way.next() => {}
            }
        }
        while under_way.next().await.is_some() {}
        Ok(())
    }

    async fn lease(&self, Wanted { shared, count }: Wanted) {
        let got = self.try_lease(&shared, count).await;
        let metric = if got.is_ok() { &self.metrics.granted } else { &self.metrics.failed };
        metric.increment(1);
        if let Err(why) = got {
            shared.bucket().failed(now(&self.clock, Instant::now()));
            if let Some(left_out) = self.failures.pass(now_millis()) {
                let counter = &shared.counter;
                warn!(
                    counter,
                    why, left_out, "a limit cannot be kept together with the other gateways; each keeps to its share"
                );
            }
        }
        shared.leased.notify_waiters();
    }

    async fn try_lease(&self, shared: &Shared, count: u64) -> Result<(), String> {
        for _ in 0..TRIES {
            let Increment { amount, raise } = shared.bucket().increment(count, now(&self.clock, Instant::now()));
            let id = raise.map(|raise| format!("limit:{}:{raise}", shared.counter));
            let added = self.nats.add(&shared.counter, amount, id, WAIT).await;
            let mut bucket = shared.bucket();
            match added.map_err(|error| Chain(&error).to_string())? {
                Added::Repeat => bucket.raised_by_another(),
                Added::Total(total) => match bucket.leased(total, count, now(&self.clock, Instant::now())) {
                    Leased::Tokens => return Ok(()),
                    Leased::Stale => {}
                    Leased::Ahead => return Err("its counter in NATS is ahead of the time".into()),
                },
            }
        }
        Err("NATS answers too late for tokens that live as short as these".into())
    }
}
