//! The table: what was seen of each attack, and whether it is within the goal.

use std::fmt;
use std::time::Duration;

use tests::Role;
use tests::memory::bound;

use crate::honest::Latencies;

/// Under attack, the 99th percentile may be so many times the quiet one.
const MOST: f64 = 2.0;
const MIB: u64 = 1024 * 1024;

pub(crate) const HEAD: &str = "\
| attack | events/s | quiet p50 / p99 ms | under attack p50 / p99 ms | p99 ratio | not 200 | gateway CPU quiet / attacked % | peak MiB of its bound |
|---|---|---|---|---|---|---|---|";

/// What was seen of one attack.
pub(crate) struct Row {
    name: &'static str,
    rounds: f64,
    pub(crate) quiet: Latencies,
    pub(crate) attacked: Latencies,
    /// Sums over the rounds.
    pub(crate) cpu_quiet: f64,
    pub(crate) cpu_attacked: f64,
    pub(crate) events: u64,
    /// All phases under attack.
    pub(crate) lasted: Duration,
    /// Bytes.
    pub(crate) memory: u64,
}

impl Row {
    pub(crate) fn of(name: &'static str, rounds: u32) -> Self {
        Self {
            name,
            rounds: f64::from(rounds),
            quiet: Latencies::default(),
            attacked: Latencies::default(),
            cpu_quiet: 0.0,
            cpu_attacked: 0.0,
            events: 0,
            lasted: Duration::ZERO,
            memory: 0,
        }
    }

    fn ratio(&self) -> f64 {
        self.attacked.percentile(99) / self.quiet.percentile(99)
    }

    pub(crate) fn passes(&self) -> bool {
        let refused = self.quiet.refused() + self.attacked.refused();
        // An attacker that did nothing would pass everything.
        refused == 0 && self.events > 0 && self.ratio() <= MOST && self.memory <= bound(Role::Gateway)
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, quiet, attacked, .. } = self;
        #[expect(clippy::cast_precision_loss, reason = "figures for a table")]
        let events = self.events as f64 / self.lasted.as_secs_f64();
        let percent = |sum: f64| 100.0 * sum / self.rounds;
        write!(f, "| {name} | {events:.0} | {:.1} / {:.1} | ", quiet.percentile(50), quiet.percentile(99))?;
        write!(f, "{:.1} / {:.1} | ", attacked.percentile(50), attacked.percentile(99))?;
        write!(
            f,
            "{:.1}{} | {} of {} | ",
            self.ratio(),
            if self.passes() { "" } else { " (!)" },
            attacked.refused(),
            attacked.asked()
        )?;
        write!(f, "{:.0} / {:.0} | ", percent(self.cpu_quiet), percent(self.cpu_attacked))?;
        write!(f, "{} of {} |", self.memory / MIB, bound(Role::Gateway) / MIB)
    }
}
