//! What is to be said of a request: pure.

use crate::audit::course::{Course, Place, Stage};
use crate::audit::endings::Endings;
use crate::audit::request::Request;
use crate::retention::kept::Kept;

/// What the audit says of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Each of its records has an ending.
    Accounted,
    /// Something of it may wait for this stage, or for one after it.
    InFlight(Stage),
    /// It was accepted, nothing of it is on its way, and it, or a record of it, has no ending.
    Missing,
    /// It is so old that its rows may have been dropped with their month, or deleted before.
    PastRetention,
}

/// What is known beside the tables.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// How far everything was before the tables were looked at.
    pub course: &'a Course,
    /// `REPLAY`'s last sequence, read after the tables were.
    pub last_replay: u64,
    /// How long rows are kept.
    pub kept: &'a Kept,
    /// The broker's time; where it is not known, nothing is taken for old.
    pub now: Option<i64>,
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
        Place::Through if is_past(request, known) => Verdict::PastRetention,
        Place::Through if endings.are_none() || known.course.replays_are_through(known.last_replay) => Verdict::Missing,
        Place::Through => Verdict::InFlight(Stage::Normalizer),
    }
}

/// Whether rows of the request may be gone because they are too old.
fn is_past(request: &Request, known: &Known<'_>) -> bool {
    let since = known.kept.since(known.now, request.channel.as_str(), request.source.as_str());
    since.is_some_and(|since| request.received_at < since)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::course::{CHANNELS, Snapshot};
    use crate::audit::endings::{Ended, Ending};
    use proto::Channel;
    use proto::Millis;
    use proto::subject::SourceName;
    use runtime::config::{Config, Environment, Need, Requirements};
    use uuid::Uuid;

    const NOW: i64 = 2000;

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
        let known = Known { course: &course, last_replay: 10, kept: &Kept::default(), now: Some(NOW) };
        assert_eq!(judge(&request(10), &Endings::default(), &known), Verdict::Missing);
        assert_eq!(judge(&request(10), &partly(), &known), Verdict::Missing);
        assert_eq!(judge(&request(11), &Endings::default(), &known), Verdict::InFlight(Stage::Normalizer));
    }

    #[test]
    fn a_record_that_only_a_replay_has_found_is_waited_for() {
        let course = through();
        let known = Known { course: &course, last_replay: 11, kept: &Kept::default(), now: Some(NOW) };
        assert_eq!(judge(&request(10), &partly(), &known), Verdict::InFlight(Stage::Normalizer));
        assert_eq!(judge(&request(10), &Endings::default(), &known), Verdict::Missing, "the first reading is lost");
    }

    fn kept(text: &str) -> Kept {
        let requirements = Requirements {
            nats: Need::Unused,
            postgres: Need::Unused,
            hash_key: Need::Unused,
            source_secrets: Need::Unused,
            attachments: Need::Unused,
        };
        Kept::of(&Config::parse_for(text, "", &Environment::default(), requirements).unwrap())
    }

    #[test]
    fn rows_that_were_dropped_with_their_month_are_not_missed() {
        let (course, kept) = (through(), kept("retention.messages = '9d'"));
        let judged = |sequence, now| {
            let known = Known { course: &course, last_replay: 10, kept: &kept, now };
            judge(&request(sequence), &Endings::default(), &known)
        };
        let days = 9 * 24 * 60 * 60 * 1000;
        assert_eq!(judged(10, Some(days + 1001)), Verdict::PastRetention);
        assert_eq!(judged(10, Some(days + 1000)), Verdict::Missing);
        assert_eq!(judged(10, None), Verdict::Missing);
        assert_eq!(judged(11, Some(days + 1001)), Verdict::InFlight(Stage::Normalizer));
    }

    #[test]
    fn rows_of_a_source_that_keeps_them_shorter_are_not_missed_and_those_of_others_are() {
        let source = "[[sources]]\nname = 'support'\nchannel = 'sms'\nprovider = 'twilio'\nretention = '10d'";
        let of_channel = source.replace("retention = '10d'", "");
        let (course, now) = (through(), 20 * 24 * 60 * 60 * 1000);
        for (text, verdict) in [
            (source.to_owned(), Verdict::PastRetention),
            (source.replace("support", "sales"), Verdict::Missing),
            (format!("retention.channels.sms = '10d'\n{of_channel}"), Verdict::PastRetention),
            (format!("retention.channels.form = '10d'\n{of_channel}"), Verdict::Missing),
            // Rows of a source that is not in the file are kept.
            ("retention.channels.sms = '10d'".to_owned(), Verdict::Missing),
        ] {
            let known = Known { course: &course, last_replay: 10, kept: &kept(&text), now: Some(now) };
            assert_eq!(judge(&request(10), &Endings::default(), &known), verdict, "{text}");
        }
    }
}
