//! When a request arrived: by this machine's clock, unless the broker's says that it is wrong.
//!
//! `received_at` is part of ids, windows and partitions, so a gateway whose clock is off by days must not be believed.
//! The broker's clock is known by asking it now and then; between two answers this machine's clock is read and
//! corrected. Before the first answer nothing can be dated, and neither after this machine's clock was set (or the
//! machine slept): that shows, because the monotonic clock goes on as before. Then the broker has to be asked again.

use std::sync::{PoisonError, RwLock};
use std::time::Instant;

use proto::Millis;
use runtime::clock::now_millis;

/// Further off than this, the broker's clock counts, in milliseconds.
const BELIEVED_MS: i64 = 5 * 60 * 1000;
/// Further off than this, the gateway is not ready, in milliseconds. A clock that was set by no more than this makes no
/// time wrong that would have been right.
pub const READY_MS: i64 = 60 * 1000;

/// Both of this machine's clocks at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// Milliseconds since 1970. Can be set.
    pub wall: i64,
    /// Cannot be set.
    pub monotonic: Instant,
}

impl Reading {
    /// Now.
    pub fn now() -> Self {
        Self { wall: now_millis(), monotonic: Instant::now() }
    }

    /// Whether the clock was set between `earlier` and this.
    fn was_set_since(self, earlier: Self) -> bool {
        let passed = self.monotonic.saturating_duration_since(earlier.monotonic).as_millis();
        let passed = i64::try_from(passed).unwrap_or(i64::MAX);
        let shown = self.wall.saturating_sub(earlier.wall);
        shown.saturating_sub(passed).saturating_abs() > READY_MS
    }
}

/// What is known of the broker's clock.
#[derive(Debug, Default)]
pub struct BrokerClock(RwLock<Option<Told>>);

#[derive(Clone, Copy, Debug)]
struct Told {
    ahead_ms: i64,
    at: Reading,
}

/// A moment, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// When it is.
    pub time: Millis,
    /// Whether this machine's clock had to be corrected.
    pub corrected: bool,
    /// Whether the clocks were compared, and none was set since: what is not certain must not be stored.
    pub certain: bool,
}

/// There is no time to give a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this machine's clock is not compared with the broker's yet")]
pub struct Uncertain;

impl BrokerClock {
    /// The broker said `broker`, in milliseconds since 1970, between `asked` and `answered`. `false` where that says
    /// nothing, because this machine's clock was set in between.
    pub fn told(&self, broker: i64, asked: Reading, answered: Reading) -> bool {
        if answered.was_set_since(asked) {
            return false;
        }
        let middle = asked.wall.saturating_add(answered.wall.saturating_sub(asked.wall) / 2);
        let told = Told { ahead_ms: broker.saturating_sub(middle), at: answered };
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(told);
        true
    }

    /// Milliseconds that the broker's clock is ahead, where that is known.
    pub fn ahead_ms(&self, now: Reading) -> Option<i64> {
        let told = *self.0.read().unwrap_or_else(PoisonError::into_inner);
        told.filter(|told| !now.was_set_since(told.at)).map(|told| told.ahead_ms)
    }

    /// The broker's time in microseconds since 1970. It goes on evenly between two answers, whatever this machine's clock is
    /// set to: no more than a few milliseconds off, which is what an answer takes.
    pub fn micros(&self, now: Instant) -> Option<u64> {
        let told = (*self.0.read().unwrap_or_else(PoisonError::into_inner))?;
        let then = u64::try_from(told.at.wall.saturating_add(told.ahead_ms)).unwrap_or(0).saturating_mul(1000);
        let since = now.saturating_duration_since(told.at.monotonic).as_micros();
        Some(then.saturating_add(u64::try_from(since).unwrap_or(u64::MAX)))
    }

    /// The moment that this machine calls `now`.
    pub fn moment(&self, now: Reading) -> Moment {
        let ahead = self.ahead_ms(now);
        let correction = ahead.filter(|ahead| ahead.saturating_abs() > BELIEVED_MS);
        let time = now.wall.saturating_add(correction.unwrap_or(0));
        Moment {
            // Both clocks outside of the years 1 to 9999: nothing better than 1970 is known.
            time: Millis::from_unix(time).unwrap_or(Millis::EPOCH),
            corrected: correction.is_some(),
            certain: ahead.is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// So many milliseconds later, and `set` ones more by the clock on the wall.
    fn later(reading: Reading, millis: u64, set: i64) -> Reading {
        let passed = i64::try_from(millis).unwrap();
        Reading { wall: reading.wall + passed + set, monotonic: reading.monotonic + Duration::from_millis(millis) }
    }

    fn start() -> Reading {
        Reading { wall: 1_795_412_009_120, monotonic: Instant::now() }
    }

    /// A clock that was told at `now` that the broker's is so far ahead.
    fn clock(now: Reading, ahead: i64) -> BrokerClock {
        let clock = BrokerClock::default();
        assert!(clock.told(now.wall + ahead, now, now));
        clock
    }

    #[test]
    fn a_clock_that_is_wrong_by_more_than_five_minutes_is_not_believed() {
        let now = start();
        for (ahead, expected) in [
            (0, (0, false)),
            (BELIEVED_MS, (0, false)),
            (-BELIEVED_MS, (0, false)),
            (BELIEVED_MS + 1, (BELIEVED_MS + 1, true)),
            (-BELIEVED_MS - 1, (-BELIEVED_MS - 1, true)),
        ] {
            let moment = clock(now, ahead).moment(now);
            assert_eq!((moment.time.as_unix() - now.wall, moment.corrected), expected, "{ahead}");
            assert!(moment.certain);
        }
    }

    #[test]
    fn a_slow_answer_counts_from_its_middle() {
        let (clock, asked) = (BrokerClock::default(), start());
        let answered = later(asked, 2_000, 0);
        assert!(clock.told(asked.wall + 1_000, asked, answered));
        assert_eq!(clock.ahead_ms(answered), Some(0));
    }

    #[test]
    fn nothing_is_dated_before_the_clocks_were_compared() {
        let now = start();
        assert!(!BrokerClock::default().moment(now).certain);
        assert!(clock(now, 0).moment(now).certain);
    }

    #[test]
    fn after_the_clock_was_set_nothing_is_dated_until_the_broker_was_asked_again() {
        let compared = start();
        let clock = clock(compared, 0);
        assert!(clock.moment(later(compared, 3_600_000, READY_MS)).certain, "an hour without an answer is no step");
        for set in [READY_MS + 1, -READY_MS - 1, 86_400_000] {
            assert!(!clock.moment(later(compared, 5_000, set)).certain, "{set}");
        }
        let set = later(compared, 5_000, 86_400_000);
        assert!(clock.told(set.wall - 86_400_000, set, set));
        let moment = clock.moment(later(set, 1_000, 0));
        assert!(moment.certain && moment.corrected);
        assert_eq!(moment.time.as_unix(), compared.wall + 6_000);
    }

    #[test]
    fn the_brokers_time_goes_on_evenly_when_this_clock_is_set() {
        let now = start();
        assert_eq!(BrokerClock::default().micros(now.monotonic), None);
        let clock = clock(now, 7_000);
        let set = later(now, 1_500, -30_000);
        let told = clock.micros(set.monotonic).map(i64::try_from);
        assert_eq!(told, Some(Ok((now.wall + 7_000 + 1_500) * 1000)));
    }

    #[test]
    fn an_answer_during_which_the_clock_was_set_says_nothing() {
        let (clock, asked) = (BrokerClock::default(), start());
        let answered = later(asked, 10, 600_000);
        assert!(!clock.told(asked.wall, asked, answered));
        assert!(!clock.moment(answered).certain);
    }
}
