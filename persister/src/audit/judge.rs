//! What is to be said of a request: pure.

use crate::audit::course::{Course, Place, Stage};
use crate::audit::endings::Endings;
use crate::audit::request::Request;
use proto::Millis;

/// What the audit says of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Each of its records has an ending.
    Accounted,
    /// Something of it may wait for this stage, or for one after it.
    InFlight(Stage),
    /// It was accepted, nothing of it is on its way, and it, or a record of it, has no ending.
    Missing,
    /// It is so old that its rows may have been dropped with their month.
    PastRetention,
}

/// What is known beside the tables.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// How far everything was before the tables were looked at.
    pub course: &'a Course,
    /// `REPLAY`'s last sequence, read after the tables were.
    pub last_replay: u64,
    /// The time before which rows may have been dropped.
    pub kept_since: Option<Millis>,
}

/// Judges a request by what the tables held.
///
/// A replay may find more records in a request than there were, and its rows say so before the last of them is there. So
/// what has some endings is missing only when no replay is on its way. Of what has none, the first reading is lost,
/// whatever a replay may bring.
pub fn judge(request: &Request, endings: &Endings, known: &Known<'_>) -> Verdict {
    if endings.are_whole() {
        return Verdict::Accounted;
    }
    match known.course.place(request.channel, request.sequence) {
        Place::At(stage) => Verdict::InFlight(stage),
        Place::Through if known.kept_since.is_some_and(|since| request.received_at < since) => Verdict::PastRetention,
        Place::Through if endings.are_none() || known.course.replays_are_through(known.last_replay) => Verdict::Missing,
        Place::Through => Verdict::InFlight(Stage::Normalizer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::course::{CHANNELS, Snapshot};
    use crate::audit::endings::{Ended, Ending};
    use proto::Channel;
    use proto::subject::SourceName;
    use uuid::Uuid;

    fn request(sequence: u64) -> Request {
        Request {
            sequence,
            channel: Channel::Sms,
            source: SourceName::parse("support").unwrap(),
            id: Uuid::from_u128(1),
            received_at: Millis::from_unix(1000).unwrap(),
        }
    }

    /// Everything up to 10 is through, of RAW and of REPLAY.
    fn through() -> Course {
        let now = Snapshot { normalized: [10; CHANNELS], replayed: 10, ..Snapshot::default() };
        let mut course = Course::default();
        for _ in 0..8 {
            course.observe(&now);
        }
        course
    }

    fn partly() -> Endings {
        let mut endings = Endings::default();
        endings.add(Ended { part: 0, parts: Some(2), superseded: false, ending: Ending::Message });
        endings
    }

    #[test]
    fn only_what_can_come_no_more_is_missing() {
        let course = through();
        let known = Known { course: &course, last_replay: 10, kept_since: None };
        assert_eq!(judge(&request(10), &Endings::default(), &known), Verdict::Missing);
        assert_eq!(judge(&request(10), &partly(), &known), Verdict::Missing);
        assert_eq!(judge(&request(11), &Endings::default(), &known), Verdict::InFlight(Stage::Normalizer));
    }

    #[test]
    fn a_record_that_only_a_replay_has_found_is_waited_for() {
        let course = through();
        let known = Known { course: &course, last_replay: 11, kept_since: None };
        assert_eq!(judge(&request(10), &partly(), &known), Verdict::InFlight(Stage::Normalizer));
        assert_eq!(judge(&request(10), &Endings::default(), &known), Verdict::Missing, "the first reading is lost");
    }

    #[test]
    fn rows_that_were_dropped_with_their_month_are_not_missed() {
        let course = through();
        let known = Known { course: &course, last_replay: 10, kept_since: Millis::from_unix(1001) };
        assert_eq!(judge(&request(10), &Endings::default(), &known), Verdict::PastRetention);
        assert_eq!(judge(&request(11), &Endings::default(), &known), Verdict::InFlight(Stage::Normalizer));
    }
}
