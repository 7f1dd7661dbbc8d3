//! The load generator: one thread for all connections, so that it takes as little as it can of a machine that it shares
//! with what it measures.
//!
//! Flat out, a connection sends its next request when it has the answer to the one before. At a rate, requests become
//! due by the schedule and any free connection takes the next one; latency counts from when it was due.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use futures::stream::{FuturesUnordered, StreamExt as _};
use hdrhistogram::Histogram;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::sleep;

use super::error::BenchError;
use super::ledger::{Answer, Sent};
use super::message::Message;
use super::player::Player;
use super::schedule::{Mix, Schedule};
use super::watch::Posted;
use super::wire::Wire;

/// After 429, 503 and a broken connection.
const PAUSE: Duration = Duration::from_millis(20);
/// The pacer does not sleep shorter than this; at high rates it releases several at once.
const SHORTEST_SLEEP: Duration = Duration::from_micros(200);
/// Each takes about 40 bytes until the ledger is made.
const MOST_REQUESTS: u64 = 20_000_000;

/// What to send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) address: SocketAddr,
    pub(crate) connections: u32,
    /// The first connection's number: phases of a run send different messages.
    pub(crate) first_connection: u32,
    /// Requests a second; `None` is flat out.
    pub(crate) rate: Option<f64>,
    pub(crate) duration: Duration,
    /// The share of requests that are repeats.
    pub(crate) repeats: f64,
}

/// What others can see while it goes on.
#[derive(Debug, Default)]
pub(crate) struct Live {
    pub(crate) answered: AtomicU64,
    pub(crate) accepted: AtomicU64,
    /// Accepted requests that nobody has taken yet.
    inbox: Mutex<Vec<Posted>>,
}

impl Live {
    /// Takes what was accepted since the last time.
    pub(crate) fn take(&self) -> Vec<Posted> {
        std::mem::take(&mut *self.inbox.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note(&self, answer: Answer, due: Instant) {
        self.answered.fetch_add(1, Ordering::Relaxed);
        if let Answer::Accepted(id) = answer {
            self.accepted.fetch_add(1, Ordering::Relaxed);
            self.inbox.lock().unwrap_or_else(PoisonError::into_inner).push(Posted { id, at: due });
        }
    }
}

/// What was sent.
#[derive(Debug)]
pub(crate) struct Sending {
    pub(crate) sent: Vec<Sent>,
    /// From due to answered, in microseconds; answered with 2xx only.
    pub(crate) latency: Histogram<u64>,
    pub(crate) began: Instant,
    /// From the first request to the last answer.
    pub(crate) took: Duration,
}

/// A histogram of microseconds, up to ten minutes, exact to three digits.
pub(crate) fn histogram() -> Histogram<u64> {
    let most = 600_000_000;
    #[expect(clippy::expect_used, reason = "the bounds are constants")]
    Histogram::new_with_bounds(1, most, 3).expect("bounds that a histogram takes")
}

/// Records a duration; what is longer than the histogram counts as its longest.
pub(crate) fn record(histogram: &mut Histogram<u64>, took: Duration) {
    histogram.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1));
}

/// Sends as planned, on a thread of its own, until everything is answered.
pub(crate) async fn send(plan: Plan, player: Arc<Player>, live: Arc<Live>) -> Result<Sending, BenchError> {
    let (result, done) = oneshot::channel();
    let work = move || {
        let threads = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let sending = threads
            .map_err(|source| BenchError::System { doing: "starting the load generator", source })
            .and_then(|threads| threads.block_on(run(plan, &player, &live)));
        // Nobody waits any more where the benchmark was interrupted.
        result.send(sending).ok();
    };
    thread::Builder::new()
        .name("load".to_owned())
        .spawn(work)
        .map_err(|source| BenchError::System { doing: "starting the load generator", source })?;
    done.await.map_err(|_| BenchError::Load("finish"))?
}

async fn run(plan: Plan, player: &Player, live: &Live) -> Result<Sending, BenchError> {
    let mut wires = Vec::new();
    for _ in 0..plan.connections {
        let mut wire = Wire::new(plan.address);
        let failed = |source| BenchError::Connect { address: plan.address.to_string(), source };
        wire.connect().await.map_err(failed)?;
        wires.push(wire);
    }
    let log = RefCell::new(Log { sent: Vec::new(), latency: histogram() });
    let began = Instant::now();
    let pace = Pace::start(plan, began)?;
    let shared = Shared { player, live, log: &log, pace: &pace };
    let mut connections: FuturesUnordered<_> = (plan.first_connection..)
        .zip(wires)
        .map(|(number, wire)| play(Mix::new(number, plan.repeats), wire, shared))
        .collect();
    while let Some(ended) = connections.next().await {
        ended?;
    }
    drop(connections);
    let Log { sent, latency } = log.into_inner();
    Ok(Sending { sent, latency, began, took: began.elapsed() })
}

#[derive(Debug)]
struct Log {
    sent: Vec<Sent>,
    latency: Histogram<u64>,
}

#[derive(Clone, Copy)]
struct Shared<'a> {
    player: &'a Player,
    live: &'a Live,
    log: &'a RefCell<Log>,
    pace: &'a Pace,
}

/// One connection: makes a request, waits until it is due, sends it, notes the answer, until nothing is due any more.
async fn play(mut mix: Mix, mut wire: Wire, shared: Shared<'_>) -> Result<(), BenchError> {
    loop {
        let (message, _) = mix.next();
        let request = shared.player.request(message)?;
        let Some(due) = shared.pace.next().await else { return Ok(()) };
        if wire.connect().await.is_err() {
            shared.note(message, Answer::Unanswered, due);
            sleep(PAUSE).await;
            continue;
        }
        let answer = wire.exchange(request).await;
        shared.note(message, answer, due);
        match answer {
            Answer::Accepted(_) => mix.accepted(message),
            answer if answer.asks_for_patience() => sleep(PAUSE).await,
            _ => {}
        }
    }
}

impl Shared<'_> {
    fn note(&self, message: Message, answer: Answer, due: Instant) {
        self.live.note(answer, due);
        let mut log = self.log.borrow_mut();
        log.sent.push(Sent { message, answer });
        if matches!(answer, Answer::Accepted(_) | Answer::Nameless) {
            record(&mut log.latency, due.elapsed());
        }
    }
}

/// Says when the next request is due.
#[derive(Debug)]
enum Pace {
    FlatOut { until: Instant, left: AtomicU64 },
    Rated { schedule: Schedule, began: Instant, released: Arc<Semaphore>, taken: AtomicU64 },
}

impl Pace {
    fn start(plan: Plan, began: Instant) -> Result<Self, BenchError> {
        let Some(rate) = plan.rate else {
            return Ok(Self::FlatOut { until: began + plan.duration, left: AtomicU64::new(MOST_REQUESTS) });
        };
        let schedule = Schedule { rate, duration: plan.duration };
        let released = Arc::new(Semaphore::new(0));
        let pacer = Arc::clone(&released);
        thread::Builder::new()
            .name("pacer".to_owned())
            .spawn(move || release(schedule, began, &pacer))
            .map_err(|source| BenchError::System { doing: "starting the pacer", source })?;
        Ok(Self::Rated { schedule, began, released, taken: AtomicU64::new(0) })
    }

    /// Waits until the next request may be sent; the moment it was due, or `None` when all were.
    async fn next(&self) -> Option<Instant> {
        match self {
            Self::FlatOut { until, left } => {
                let now = Instant::now();
                let some_left =
                    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
                (now < *until && some_left).then_some(now)
            }
            Self::Rated { schedule, began, released, taken } => {
                let slot = taken.fetch_add(1, Ordering::Relaxed);
                if slot >= schedule.total().min(MOST_REQUESTS) {
                    return None;
                }
                released.acquire().await.ok()?.forget();
                Some(*began + schedule.due(slot))
            }
        }
    }
}

/// The pacer: a thread, because the timer of the event loop is exact to a millisecond only.
fn release(schedule: Schedule, began: Instant, released: &Semaphore) {
    let mut given = 0;
    while given < schedule.total() {
        let due = schedule.released(began.elapsed());
        let more = usize::try_from(due - given).unwrap_or_default().min(Semaphore::MAX_PERMITS >> 8);
        if more > 0 {
            released.add_permits(more);
            given += more as u64;
        }
        let wait = schedule.due(given).saturating_sub(began.elapsed());
        thread::sleep(wait.max(SHORTEST_SLEEP));
    }
}
