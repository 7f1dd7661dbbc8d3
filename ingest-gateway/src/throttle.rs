//! Keeps a log readable while the same thing goes wrong thousands of times a second: one line a period, with the number
//! of those left out.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// Lets one through in each period.
#[derive(Debug)]
pub struct Throttle {
    period_ms: i64,
    next: AtomicI64,
    left_out: AtomicU64,
}

impl Throttle {
    /// One in so many milliseconds.
    pub fn new(period_ms: i64) -> Self {
        Self { period_ms, next: AtomicI64::new(i64::MIN), left_out: AtomicU64::new(0) }
    }

    /// At `now`, in milliseconds: how many were left out since the last one, if this one may pass.
    pub fn pass(&self, now: i64) -> Option<u64> {
        let next = self.next.load(Ordering::Relaxed);
        let later = now.saturating_add(self.period_ms);
        if now >= next && self.next.compare_exchange(next, later, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            return Some(self.left_out.swap(0, Ordering::Relaxed));
        }
        self.left_out.fetch_add(1, Ordering::Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_a_period_passes_with_the_number_of_those_left_out() {
        let throttle = Throttle::new(1000);
        let passed: Vec<Option<u64>> = [0, 1, 999, 1000, 2000].map(|now| throttle.pass(now)).into();
        assert_eq!(passed, [Some(0), None, None, Some(2), Some(0)]);
    }
}
