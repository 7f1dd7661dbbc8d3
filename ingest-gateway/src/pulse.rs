//! Whether `RAW` takes messages, as far as the gateway knows from its own publishes. No I/O and no clock of its own.
//!
//! The broker's own health is no answer: it says "ok" while it refuses everything. And a small message is no answer
//! for a large one: a stream that is nearly full still takes it. So what was refused last says how large a probe is.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// An acknowledgement older than this proves nothing.
const FRESH: Duration = Duration::from_secs(5);
/// With an acknowledgement younger than this there is no need to probe. Leaves a probe time to be answered.
const QUIET: Duration = Duration::from_secs(3);

/// What is known of `RAW`.
#[derive(Debug)]
pub struct Pulse {
    start: Instant,
    /// Milliseconds after `start`, plus one; 0 before the first.
    acknowledged: AtomicU64,
    /// Payload bytes of the largest message refused because the stream was full; 0 where it is not, 1 at least.
    refused: AtomicUsize,
    sound: AtomicBool,
}

impl Pulse {
    /// Nothing is known yet.
    pub fn new(start: Instant) -> Self {
        Self { start, acknowledged: AtomicU64::new(0), refused: AtomicUsize::new(0), sound: AtomicBool::new(false) }
    }

    /// The streams are what they must be, and something may be stored from here on; or they are not.
    pub fn set_sound(&self, sound: bool) {
        self.sound.store(sound, Ordering::Release);
    }

    /// Whether the streams were found to be what they must be.
    pub fn is_sound(&self) -> bool {
        self.sound.load(Ordering::Acquire)
    }

    /// `RAW` took a message of so many bytes.
    pub fn acknowledged(&self, bytes: usize, now: Instant) {
        let millis = now.saturating_duration_since(self.start).as_millis();
        self.acknowledged.fetch_max(u64::try_from(millis).unwrap_or(u64::MAX).saturating_add(1), Ordering::Relaxed);
        let refused = self.refused.load(Ordering::Relaxed);
        if refused != 0 && bytes >= refused {
            self.refused.store(0, Ordering::Relaxed);
        }
    }

    /// `RAW` was too full for a message of so many bytes.
    pub fn full(&self, bytes: usize) {
        self.refused.fetch_max(bytes.max(1), Ordering::Relaxed);
    }

    /// Whether `RAW` is known to be full.
    pub fn is_full(&self) -> bool {
        self.refused.load(Ordering::Relaxed) != 0
    }

    /// Whether an acknowledgement is fresh enough to believe that the next message will have one.
    pub fn is_fresh(&self, now: Instant) -> bool {
        self.age(now).is_some_and(|age| age <= FRESH)
    }

    /// Whether `RAW` takes messages; the error says why not.
    pub fn verdict(&self, now: Instant) -> Result<String, String> {
        if !self.is_sound() {
            return Err("the streams are not known to be as they must be".into());
        }
        match self.refused.load(Ordering::Relaxed) {
            0 => {}
            bytes => return Err(format!("RAW is full: it refused a message of {bytes} bytes")),
        }
        match self.age(now) {
            None => Err("RAW has not acknowledged anything yet".into()),
            Some(age) if age > FRESH => Err(format!("RAW has not acknowledged anything for {} s", age.as_secs())),
            Some(_) => Ok("RAW acknowledges".into()),
        }
    }

    /// How large a probe has to be, where one is needed.
    pub fn probe(&self, now: Instant) -> Option<usize> {
        match self.refused.load(Ordering::Relaxed) {
            0 => self.age(now).is_none_or(|age| age >= QUIET).then_some(0),
            bytes => Some(bytes),
        }
    }

    fn age(&self, now: Instant) -> Option<Duration> {
        let millis = self.acknowledged.load(Ordering::Relaxed).checked_sub(1)?;
        Some(now.saturating_duration_since(self.start).saturating_sub(Duration::from_millis(millis)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(start: Instant, millis: u64) -> Instant {
        start + Duration::from_millis(millis)
    }

    #[test]
    fn ready_is_an_acknowledgement_of_the_last_five_seconds() {
        let start = Instant::now();
        let pulse = Pulse::new(start);
        pulse.acknowledged(10, start);
        assert!(pulse.verdict(start).unwrap_err().contains("not known"));
        pulse.set_sound(true);
        assert!(pulse.verdict(start).is_ok());
        assert!(pulse.verdict(after(start, 5000)).is_ok());
        assert!(pulse.verdict(after(start, 5001)).is_err());
        pulse.acknowledged(0, after(start, 6000));
        assert!(pulse.verdict(after(start, 6001)).is_ok());
    }

    #[test]
    fn nothing_is_ready_before_the_first_acknowledgement() {
        let start = Instant::now();
        let pulse = Pulse::new(start);
        pulse.set_sound(true);
        assert!(pulse.verdict(start).is_err());
        assert_eq!(pulse.probe(start), Some(0));
    }

    #[test]
    fn with_traffic_there_are_no_probes() {
        let start = Instant::now();
        let pulse = Pulse::new(start);
        pulse.acknowledged(10, start);
        assert_eq!(pulse.probe(after(start, 2999)), None);
        assert_eq!(pulse.probe(after(start, 3000)), Some(0));
    }

    #[test]
    fn a_full_stream_is_not_ready_because_it_still_takes_small_messages() {
        let start = Instant::now();
        let pulse = Pulse::new(start);
        pulse.set_sound(true);
        pulse.full(1000);
        pulse.full(10);
        pulse.acknowledged(999, start);
        assert!(pulse.verdict(start).unwrap_err().contains("full"));
        assert_eq!(pulse.probe(start), Some(1000));
        assert!(pulse.is_full());
        pulse.acknowledged(1000, start);
        assert!(pulse.verdict(start).is_ok() && !pulse.is_full());
    }
}
