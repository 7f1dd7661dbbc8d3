//! The processor time of a process, as Linux tells it.

use std::time::{Duration, Instant};

/// `USER_HZ`, which is 100 on every Linux that Rust runs on.
const TICK: Duration = Duration::from_millis(10);

/// Processor time at a moment.
pub(crate) struct Usage {
    at: Instant,
    cpu: Duration,
}

impl Usage {
    pub(crate) fn of(pid: i32) -> Self {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // Behind the name, which may hold anything, user and system time are the 12th and 13th.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |place: usize| fields.get(place).and_then(|field| field.parse::<u32>().ok()).unwrap_or(0);
        Self { at: Instant::now(), cpu: TICK * (ticks(11) + ticks(12)) }
    }

    /// How many processors were used from here to there, in the mean.
    pub(crate) fn since(&self, then: &Self) -> f64 {
        let lasted = then.at.duration_since(self.at).as_secs_f64();
        then.cpu.saturating_sub(self.cpu).as_secs_f64() / lasted.max(f64::EPSILON)
    }
}
