//! When a signature that is right would have been in time: found by judging the same request at other times. Pure.
//!
//! A scheme has one stretch of time in which a signature is good; before it a request is early, after it stale. So each
//! end is found by halving, whatever the scheme makes of its timestamp.

use proto::Millis;
use providers::{Flaw, Verdict};

use super::case::Trial;

/// The last second that a time can be.
const LAST: i64 = 253_402_300_799;
/// Time zones reach so far.
const ZONES: i64 = 14;
const HOUR: i64 = 3600;

/// Seconds since 1970 between which a signature is good, both included, and the one it was judged at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) from: i64,
    pub(crate) to: i64,
    pub(crate) now: i64,
}

/// The window of a trial whose signature is right; `None` where it is good at no time.
pub(crate) fn window(trial: &Trial<'_>, now: Millis) -> Option<Window> {
    let now = now.as_unix().div_euclid(1000);
    let flaw = |second: i64| {
        let at = Millis::from_unix(second.saturating_mul(1000))?;
        match trial.verdict(at) {
            Verdict::Wrong(flaw) => Some(flaw),
            Verdict::Fits { .. } | Verdict::NothingToVerify => None,
        }
    };
    // The last second that is not stale, and the first that is not early.
    let to = last(0, LAST, |second| flaw(second) != Some(Flaw::Stale))?;
    let from = LAST - last(0, LAST, |back| flaw(LAST - back) != Some(Flaw::Early))?;
    (from <= to && flaw(to).is_none()).then_some(Window { from, to, now })
}

/// The last of a stretch that begins at `first` in which `holds`.
fn last(first: i64, end: i64, holds: impl Fn(i64) -> bool) -> Option<i64> {
    if !holds(first) {
        return None;
    }
    let (mut good, mut bad) = (first, end + 1);
    while bad - good > 1 {
        let middle = good + (bad - good) / 2;
        if holds(middle) {
            good = middle;
        } else {
            bad = middle;
        }
    }
    Some(good)
}

impl Window {
    /// Seconds that it was judged too late, or too early where negative.
    pub(crate) fn off(self) -> i64 {
        if self.now > self.to { self.now - self.to } else { (self.now - self.from).min(0) }
    }

    /// Whole hours by which the clocks differ, if that is what it looks like: someone takes local time for UTC.
    pub(crate) fn zone(self) -> Option<i64> {
        let distance = self.now - self.from.midpoint(self.to);
        let hours = (distance + distance.signum() * HOUR / 2) / HOUR;
        let slack = ((self.to - self.from) / 2).min(HOUR / 4);
        let fits = (1..=ZONES).contains(&hours.abs()) && (distance - hours * HOUR).abs() <= slack;
        fits.then_some(hours)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_a_stretch_is_found() {
        assert_eq!(last(0, 100, |n| n <= 37), Some(37));
        assert_eq!(last(0, 100, |_| true), Some(100));
        assert_eq!(last(0, 100, |_| false), None);
    }

    #[test]
    fn whole_hours_look_like_a_time_zone() {
        let window = |now| Window { from: 1_000_000 - 300, to: 1_000_000 + 300, now };
        let at = |seconds: i64| (window(1_000_000 + seconds).off(), window(1_000_000 + seconds).zone());
        assert_eq!(at(0), (0, None));
        assert_eq!(at(301), (1, None));
        assert_eq!(at(2 * 3600 - 20), (2 * 3600 - 320, Some(2)));
        assert_eq!(at(-5 * 3600 + 20), (-5 * 3600 + 320, Some(-5)));
        assert_eq!(at(2 * 3600 + 900).1, None);
        assert_eq!(at(20 * 3600).1, None);
    }
}
