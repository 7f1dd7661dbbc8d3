//! How long to wait before the next try: doubling, bounded, with jitter so that many waiters do not return at once.

use std::time::Duration;

/// Waits between tries. Each call gives the next wait: between half and all of a delay that doubles up to a bound.
#[derive(Clone, Debug)]
pub struct Backoff {
    next: Duration,
    max: Duration,
    first: Duration,
    seed: u64,
}

impl Backoff {
    /// Starts at `first` and never exceeds `max`.
    pub fn new(first: Duration, max: Duration) -> Self {
        Self { next: first, max, first, seed: random() }
    }

    /// The next wait.
    pub fn wait(&mut self) -> Duration {
        // xorshift: spread is all that is asked of it.
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        let delay = self.next.min(self.max);
        self.next = self.next.saturating_mul(2).min(self.max);
        let percent = u32::try_from(self.seed % 51).unwrap_or(0) + 50;
        delay * percent / 100
    }

    /// Starts again from the shortest wait, after a success.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

/// Never zero, which xorshift would stay at.
fn random() -> u64 {
    let (high, low) = uuid::Uuid::new_v4().as_u64_pair();
    (high ^ low) | 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_stay_in_their_bounds() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
        for round in 0..20 {
            let delay = Duration::from_millis(100).saturating_mul(1 << round.min(10)).min(Duration::from_secs(2));
            let wait = backoff.wait();
            assert!(wait <= delay && wait >= delay / 2, "{wait:?} of {delay:?}");
        }
        backoff.reset();
        assert!(backoff.wait() <= Duration::from_millis(100));
    }
}
