//! What can still be on its way: a state machine over the places of the consumers. Pure.
//!
//! A stage publishes what it makes of a message before it acknowledges the message. So what a consumer had acknowledged
//! when the next stream's last sequence was read is in that stream at or before this sequence, or beyond it. A pass goes
//! through the stages like that, one after the other:
//!
//! 1. the normalizer's places are noted, then `CANONICAL`'s last sequence;
//! 2. once `dedup` is there: the last sequences of `UNIQUE` and `DUPLICATES`;
//! 3. once `persister` and `persister-duplicates` are there: that of `DLQ`, which all of the stages before write to;
//! 4. once `persister-dead-letters` is there, every request up to the places of step 1 has all its endings in the tables.
//!
//! A request is through when two passes, the second begun after the first, have said so: a broker that was cut off from
//! its cluster answers with sequences of the past for some seconds.

use proto::Channel;

/// Channels, in the order of [`Channel::ALL`].
pub const CHANNELS: usize = Channel::ALL.len();

/// Where every consumer and every stream is. What consumers said was read first, what streams said after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Up to which sequence of `RAW` each channel's normalizer has acknowledged everything that is for it.
    pub normalized: [u64; CHANNELS],
    /// The same of `REPLAY` and `normalizer-replay`.
    pub replayed: u64,
    /// The same of `CANONICAL` and `dedup`.
    pub deduplicated: u64,
    /// The same of `UNIQUE` and `persister`.
    pub persisted: u64,
    /// The same of `DUPLICATES` and `persister-duplicates`.
    pub judged: u64,
    /// The same of `DLQ` and `persister-dead-letters`.
    pub recorded: u64,
    /// What `CANONICAL` holds.
    pub canonical: Span,
    /// What `UNIQUE` holds.
    pub unique: Span,
    /// What `DUPLICATES` holds.
    pub duplicates: Span,
    /// What `DLQ` holds.
    pub dlq: Span,
}

/// What a stream holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Sequence of the oldest message; of an empty stream, the one that the next message gets.
    pub first: u64,
    /// Sequence of the newest message, also when it is gone.
    pub last: u64,
}

/// A stage that something can be at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// In `RAW` or `REPLAY`.
    Normalizer,
    /// In `CANONICAL`.
    Dedup,
    /// In `UNIQUE` or `DUPLICATES`.
    Persister,
    /// In `DLQ`, without its row yet.
    DeadLetters,
}

impl Stage {
    /// In the order of the flow.
    pub const ALL: [Self; 4] = [Self::Normalizer, Self::Dedup, Self::Persister, Self::DeadLetters];

    /// As commands and logs name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normalizer => "normalizer",
            Self::Dedup => "dedup",
            Self::Persister => "persister",
            Self::DeadLetters => "dead letters",
        }
    }
}

/// How far a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Something of it may wait for this stage, or for one after it.
    At(Stage),
    /// Every stage has finished everything that came of it.
    Through,
}

/// Up to where something is true.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Reached {
    normalized: [u64; CHANNELS],
    replayed: u64,
}

/// What a pass waits for: that consumers get to these sequences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    Dedup { canonical: u64 },
    Persister { unique: u64, duplicates: u64 },
    DeadLetters { dlq: u64 },
}

/// Passes, one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Course {
    pass: Option<(Reached, Waits)>,
    /// Where the last pass that came to its end began.
    once: Reached,
    /// Where the one before it began.
    twice: Reached,
}

impl Course {
    /// Takes one step, if it can be taken; true where a pass came to its end.
    pub fn observe(&mut self, now: &Snapshot) -> bool {
        let Some((begun, waits)) = self.pass else {
            let begun = Reached { normalized: now.normalized, replayed: now.replayed };
            self.pass = Some((begun, Waits::Dedup { canonical: now.canonical.last }));
            return false;
        };
        let next = match waits {
            Waits::Dedup { canonical } => has_passed(now.deduplicated, now.canonical, canonical)
                .then_some(Waits::Persister { unique: now.unique.last, duplicates: now.duplicates.last }),
            Waits::Persister { unique, duplicates } => (has_passed(now.persisted, now.unique, unique)
                && has_passed(now.judged, now.duplicates, duplicates))
            .then_some(Waits::DeadLetters { dlq: now.dlq.last }),
            Waits::DeadLetters { dlq } => {
                if has_passed(now.recorded, now.dlq, dlq) {
                    self.twice = self.once;
                    self.once = begun;
                    self.pass = None;
                    return true;
                }
                None
            }
        };
        if let Some(next) = next {
            self.pass = Some((begun, next));
        }
        false
    }

    /// How far a request is, by its channel and its sequence in `RAW`.
    pub fn place(&self, channel: Channel, sequence: u64) -> Place {
        if sequence <= at(&self.twice, channel) {
            return Place::Through;
        }
        Place::At(match self.pass {
            Some((begun, waits)) if sequence <= at(&begun, channel) => match waits {
                Waits::Dedup { .. } => Stage::Dedup,
                Waits::Persister { .. } => Stage::Persister,
                Waits::DeadLetters { .. } => Stage::DeadLetters,
            },
            // Between two passes.
            _ if sequence <= at(&self.once, channel) => Stage::DeadLetters,
            _ => Stage::Normalizer,
        })
    }

    /// Whether all replays are through, where `REPLAY`'s last sequence is this.
    pub fn replays_are_through(&self, last: u64) -> bool {
        last <= self.twice.replayed
    }
}

fn at(reached: &Reached, channel: Channel) -> u64 {
    let place = Channel::ALL.iter().position(|known| *known == channel);
    place.and_then(|place| reached.normalized.get(place)).copied().unwrap_or(0)
}

/// Whether a consumer that has acknowledged everything up to `floor` is done with everything up to `mark`. Its floor does
/// not move for messages that are gone, so those that the stream does not hold any more count as passed.
fn has_passed(floor: u64, stream: Span, mark: u64) -> bool {
    floor >= mark || stream.first > mark
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMS: Channel = Channel::Sms;

    fn idle() -> Snapshot {
        let span = Span { first: 1, last: 10 };
        Snapshot {
            normalized: [10; CHANNELS],
            replayed: 10,
            deduplicated: 10,
            persisted: 10,
            judged: 10,
            recorded: 10,
            canonical: span,
            unique: span,
            duplicates: span,
            dlq: span,
        }
    }

    fn after(steps: usize, now: &Snapshot) -> Course {
        let mut course = Course::default();
        for _ in 0..steps {
            course.observe(now);
        }
        course
    }

    #[test]
    fn a_request_is_through_after_two_passes() {
        assert_eq!(after(4, &idle()).place(SMS, 10), Place::At(Stage::DeadLetters));
        assert_eq!(after(8, &idle()).place(SMS, 10), Place::Through);
        assert_eq!(after(8, &idle()).place(SMS, 11), Place::At(Stage::Normalizer));
    }

    #[test]
    fn a_stage_that_stands_still_holds_all_that_may_be_before_it() {
        for (stage, stopped) in [
            (Stage::Normalizer, Snapshot { normalized: [9; CHANNELS], ..idle() }),
            (Stage::Dedup, Snapshot { deduplicated: 9, ..idle() }),
            (Stage::Persister, Snapshot { persisted: 9, ..idle() }),
            (Stage::Persister, Snapshot { judged: 9, ..idle() }),
            (Stage::DeadLetters, Snapshot { recorded: 9, ..idle() }),
        ] {
            // However long it is looked at. (The normalizer's place is where passes begin: they go on without it.)
            let course = after(1003, &stopped);
            assert_eq!(course.place(SMS, 10), Place::At(stage), "{stage:?}");
        }
    }

    #[test]
    fn a_channel_that_stands_still_holds_no_other() {
        let mut now = idle();
        let email = Channel::ALL.iter().position(|channel| *channel == Channel::Email).unwrap();
        now.normalized[email] = 3;
        let course = after(8, &now);
        assert_eq!(course.place(SMS, 10), Place::Through);
        assert_eq!(course.place(Channel::Email, 4), Place::At(Stage::Normalizer));
        assert_eq!(course.place(Channel::Email, 3), Place::Through);
    }

    // The order of a snapshot: the mark is read after the place that it belongs to, so the same snapshot's place of the
    // next stage is too old for it.
    #[test]
    fn one_snapshot_takes_one_step() {
        let mut course = Course::default();
        assert_eq!((0..4).map(|_| course.observe(&idle())).collect::<Vec<_>>(), [false, false, false, true]);
    }

    #[test]
    fn what_was_trimmed_is_not_waited_for() {
        let empty = Span { first: 11, last: 10 };
        let now = Snapshot { deduplicated: 9, canonical: empty, ..idle() };
        assert_eq!(after(8, &now).place(SMS, 10), Place::Through);
    }

    #[test]
    fn replays_are_through_when_two_passes_began_after_the_last_one() {
        assert!(after(8, &idle()).replays_are_through(10));
        assert!(!after(8, &idle()).replays_are_through(11));
        assert!(!after(4, &idle()).replays_are_through(10));
    }
}
