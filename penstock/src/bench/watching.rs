//! Watches the endings appear, until every accepted request has one or the time for it is up.
//!
//! How exact it is, is measured too: a row can have been visible since the look before the one that found it, so the
//! time between two looks is the most by which "row visible" is too long. It is never too short.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::time::{MissedTickBehavior, interval};

use super::database::{Database, Visible};
use super::error::BenchError;
use super::load::{Live, histogram, record};
use super::watch::Open;

/// How often what hangs behind, or may have ended elsewhere, is asked for by its id.
const SLOW_LOOK: Duration = Duration::from_millis(100);
const SLOW_LOOK_LIMIT: usize = 500;
const OVERDUE: Duration = Duration::from_secs(1);

/// How to watch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    /// Between two looks.
    pub(crate) every: Duration,
    /// How long the last endings may take after the last answer.
    pub(crate) patience: Duration,
}

/// What others can see while it goes on.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    pub(crate) rows: AtomicU64,
    /// Set when nothing more is sent.
    pub(crate) all_sent: AtomicBool,
}

/// What was seen.
#[derive(Debug)]
pub(crate) struct Seen {
    /// From due to row visible, in microseconds.
    pub(crate) visible: Histogram<u64>,
    /// Between two looks, in microseconds.
    pub(crate) gaps: Histogram<u64>,
    pub(crate) rows: u64,
    /// When the last row, or the last ending of any kind, was seen.
    pub(crate) last: Option<Instant>,
    /// Accepted requests without an ending when the time was up.
    pub(crate) left: usize,
}

/// Watches until nothing is open, or patience ends.
pub(crate) async fn watch(
    database: &mut Database,
    live: &Live,
    progress: &Progress,
    manner: Manner,
) -> Result<Seen, BenchError> {
    let mut watching = Watching {
        open: Open::default(),
        seen: Seen { visible: histogram(), gaps: histogram(), rows: 0, last: None, left: 0 },
    };
    let mut ticks = interval(manner.every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut looked = Instant::now();
    let mut slowly_looked = looked;
    let mut finished: Option<Instant> = None;
    loop {
        ticks.tick().await;
        let all_sent = progress.all_sent.load(Ordering::Acquire);
        for posted in live.take() {
            watching.open.accepted(posted);
        }
        let began = Instant::now();
        if let Some(floor) = watching.open.floor() {
            let visible = database.look(floor).await?;
            watching.take(&visible);
            record(&mut watching.seen.gaps, looked.elapsed());
        }
        looked = began;
        if slowly_looked.elapsed() > SLOW_LOOK {
            slowly_looked = Instant::now();
            let asked = watching.hidden();
            if !asked.is_empty() {
                let visible = database.find(&asked).await?;
                watching.take(&visible);
            }
        }
        progress.rows.store(watching.seen.rows, Ordering::Relaxed);
        if all_sent {
            let since = *finished.get_or_insert(began);
            if watching.open.is_empty() || since.elapsed() > manner.patience {
                watching.seen.left = watching.open.len();
                return Ok(watching.seen);
            }
        }
    }
}

struct Watching {
    open: Open,
    seen: Seen,
}

impl Watching {
    fn take(&mut self, visible: &[Visible]) {
        let now = Instant::now();
        for (id, is_row) in visible {
            let Some(took) = self.open.ended(*id, now) else { continue };
            self.seen.last = Some(now);
            if *is_row {
                self.seen.rows += 1;
                record(&mut self.seen.visible, took);
            }
        }
    }

    /// What a look at the range cannot find.
    fn hidden(&self) -> Vec<uuid::Uuid> {
        let mut asked = self.open.stragglers(SLOW_LOOK_LIMIT);
        if asked.is_empty() {
            asked = self.open.overdue(Instant::now(), OVERDUE, SLOW_LOOK_LIMIT / 5);
        }
        asked
    }
}
