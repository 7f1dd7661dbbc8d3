//! When each request is due, and whether it is a new message or a repeat. Pure: time comes in as what has passed.
//!
//! Latency counts from the moment a request was due, not from when a connection was free for it: a gateway that stalls
//! would otherwise be asked less while it stalls, and look better for it.

use std::time::Duration;

use super::message::Message;

/// Requests at an even rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Schedule {
    /// Requests per second; above 0.
    pub(crate) rate: f64,
    /// How long requests go on becoming due.
    pub(crate) duration: Duration,
}

impl Schedule {
    /// How many requests there are altogether.
    pub(crate) fn total(&self) -> u64 {
        self.count(self.duration)
    }

    /// How long after the start a request is due; the first one at once.
    pub(crate) fn due(&self, slot: u64) -> Duration {
        Duration::from_secs_f64(precise(slot) / self.rate)
    }

    /// How many requests are due when so much time has passed.
    pub(crate) fn released(&self, elapsed: Duration) -> u64 {
        let begun = self.count(elapsed) + u64::from(elapsed < self.duration);
        begun.min(self.total())
    }

    fn count(&self, span: Duration) -> u64 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative, and saturating")]
        let count = (span.as_secs_f64() * self.rate + 1e-6) as u64;
        count
    }
}

#[expect(clippy::cast_precision_loss, reason = "2^53 requests are more than anybody sends")]
fn precise(count: u64) -> f64 {
    count as f64
}

/// How many of a connection's last messages can be sent again.
const REMEMBERED: usize = 64;

/// What one connection sends: new messages, and among them repeats of what was accepted.
#[derive(Clone, Debug)]
pub(crate) struct Mix {
    connection: u32,
    /// The share of requests that are repeats, 0 to 1.
    repeats: f64,
    owed: f64,
    next: u32,
    accepted: Vec<Message>,
    oldest: usize,
    state: u64,
}

impl Mix {
    pub(crate) fn new(connection: u32, repeats: f64) -> Self {
        // Connections differ in when they owe their first repeat: else all of them would repeat at the same time.
        let owed = f64::from(connection % 64) / 64.0 * repeats;
        let state = u64::from(connection) * 2 + 1;
        Self { connection, repeats, owed, next: 0, accepted: Vec::new(), oldest: 0, state }
    }

    /// The next message to send, and whether it was sent before.
    pub(crate) fn next(&mut self) -> (Message, bool) {
        self.owed = (self.owed + self.repeats).min(f64::from(u32::MAX));
        if self.owed >= 1.0
            && let Some(message) = self.any()
        {
            self.owed -= 1.0;
            return (message, true);
        }
        let message = Message { connection: self.connection, number: self.next };
        self.next += 1;
        (message, false)
    }

    /// The message was answered with 2xx, so a second one is a repeat and not the first that gets through.
    pub(crate) fn accepted(&mut self, message: Message) {
        if self.accepted.len() < REMEMBERED {
            self.accepted.push(message);
        } else if let Some(place) = self.accepted.get_mut(self.oldest) {
            *place = message;
            self.oldest = (self.oldest + 1) % REMEMBERED;
        }
    }

    /// Knuth's generator: which one is repeated need not be unpredictable, only spread.
    fn any(&mut self) -> Option<Message> {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let length = u64::try_from(self.accepted.len()).ok().filter(|length| *length > 0)?;
        self.accepted.get(usize::try_from((self.state >> 33) % length).ok()?).copied()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn schedule(rate: f64, seconds: u64) -> Schedule {
        Schedule { rate, duration: Duration::from_secs(seconds) }
    }

    #[test]
    fn requests_are_spread_evenly_and_none_is_left_out() {
        let schedule = schedule(1000.0, 3);
        assert_eq!(schedule.total(), 3000);
        assert_eq!(schedule.due(0), Duration::ZERO);
        assert_eq!(schedule.due(1500), Duration::from_millis(1500));
        assert_eq!(schedule.released(Duration::ZERO), 1);
        assert_eq!(schedule.released(Duration::from_micros(999)), 1);
        assert_eq!(schedule.released(Duration::from_millis(1)), 2);
        assert_eq!(schedule.released(Duration::from_secs(3)), 3000);
        assert_eq!(schedule.released(Duration::from_hours(1)), 3000);
    }

    #[test]
    fn what_is_released_is_due() {
        for rate in [0.5, 7.0, 333.0, 12_345.6] {
            let schedule = schedule(rate, 2);
            for slot in 0..schedule.total() {
                let released = schedule.released(schedule.due(slot) + Duration::from_nanos(200));
                assert!(released > slot, "slot {slot} at {rate}/s is due and {released} are released");
            }
        }
    }

    /// Sends `count` requests; all are accepted.
    fn send(mix: &mut Mix, count: u32) -> (u32, u32) {
        let mut seen = HashSet::new();
        let mut repeats = 0;
        for _ in 0..count {
            let (message, repeat) = mix.next();
            assert_eq!(!seen.insert(message), repeat, "a repeat, and nothing else, was sent before");
            repeats += u32::from(repeat);
            mix.accepted(message);
        }
        (count - repeats, repeats)
    }

    #[test]
    fn the_share_of_repeats_is_kept() {
        assert_eq!(send(&mut Mix::new(0, 0.0), 1000), (1000, 0));
        let (new, repeats) = send(&mut Mix::new(0, 0.3), 1000);
        assert!((299..=300).contains(&repeats), "{new} new messages and {repeats} repeats");
        assert_eq!(send(&mut Mix::new(7, 1.0), 1000), (1, 999));
    }

    #[test]
    fn nothing_is_repeated_before_it_was_accepted() {
        let mut mix = Mix::new(0, 0.9);
        assert!((0..100).all(|_| !mix.next().1));
    }
}
