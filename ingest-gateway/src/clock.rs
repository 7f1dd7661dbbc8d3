//! When a request arrived: by this machine's clock, unless the broker's says that it is wrong.
//!
//! `received_at` is part of ids, windows and partitions, so a gateway whose clock is off by days must not be believed.
//! The broker's clock is known by asking it now and then; between two answers this machine's clock is read and
//! corrected.

use std::sync::atomic::{AtomicI64, Ordering};

use proto::Millis;

/// Further off than this, the broker's clock counts, in milliseconds.
const BELIEVED_MS: i64 = 5 * 60 * 1000;
/// Further off than this, the gateway is not ready, in milliseconds.
pub const READY_MS: i64 = 60 * 1000;

/// How far the broker's clock is ahead of this machine's.
#[derive(Debug, Default)]
pub struct BrokerClock(AtomicI64);

impl BrokerClock {
    /// The broker said `broker` between `asked` and `answered`, all in milliseconds since 1970.
    pub fn told(&self, broker: i64, asked: i64, answered: i64) {
        let middle = asked.saturating_add(answered.saturating_sub(asked) / 2);
        self.0.store(broker.saturating_sub(middle), Ordering::Relaxed);
    }

    /// Milliseconds that the broker's clock is ahead.
    pub fn ahead_ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    /// The moment that this machine calls `local`, and whether it had to be corrected.
    pub fn moment(&self, local: i64) -> (Millis, bool) {
        let ahead = self.ahead_ms();
        let corrected = ahead.abs() > BELIEVED_MS;
        let time = if corrected { local.saturating_add(ahead) } else { local };
        // Both clocks outside of the years 1 to 9999: nothing better than 1970 is known.
        (Millis::from_unix(time).unwrap_or(Millis::EPOCH), corrected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_wrong_by_more_than_five_minutes_is_not_believed() {
        let clock = BrokerClock::default();
        let now = 1_795_412_009_120;
        let moment = |clock: &BrokerClock| {
            let (time, corrected) = clock.moment(now);
            (time.as_unix() - now, corrected)
        };
        assert_eq!(moment(&clock), (0, false));
        for (ahead, expected) in [
            (0, (0, false)),
            (BELIEVED_MS, (0, false)),
            (-BELIEVED_MS, (0, false)),
            (BELIEVED_MS + 1, (BELIEVED_MS + 1, true)),
            (-BELIEVED_MS - 1, (-BELIEVED_MS - 1, true)),
        ] {
            clock.told(now + ahead, now - 50, now + 50);
            assert_eq!(moment(&clock), expected, "{ahead}");
        }
    }

    #[test]
    fn a_slow_answer_counts_from_its_middle() {
        let clock = BrokerClock::default();
        clock.told(1_000, 0, 2_000);
        assert_eq!(clock.ahead_ms(), 0);
    }
}
