//! Where an entry goes when it is tried again, by the stage that gave up on it. Pure but for the name.

use bytes::Bytes;
use proto::envelope::Lookup as _;
use proto::{BodyRef, RawEnvelope, RecordEnvelope, Stage, header, subject};
use runtime::publish::Outgoing;
use uuid::Uuid;

use super::entries::Letter;
use crate::commands::resend::{self, ResendError};

/// Why an entry cannot be tried again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotAgain {
    /// It never carried our headers.
    #[error("it was never one of our messages, so no stage can do anything with it; take it away with `dlq drop`")]
    Stranger,
    /// See the cause.
    #[error("it cannot be sent again")]
    Resend(#[from] ResendError),
}

/// What an entry's payload belongs to in `BODIES`, and where it is, if not in the message.
pub(crate) fn payload_of(letter: &Letter) -> (Uuid, Option<BodyRef>) {
    let body = letter.message.get(header::BODY).and_then(|text| text.parse().ok());
    match letter.envelope.stage {
        Stage::Normalizer => (letter.envelope.request_id, body),
        Stage::Dedup | Stage::Persister => (letter.envelope.record, body),
    }
}

/// The message that has an entry tried again in this run, as its stage had it, without the reason it was given up for.
///
/// * normalizer: the whole request goes to `REPLAY`, also where one element of it was bad.
/// * dedup: the record goes to `CANONICAL`, where it came from, under an id that names the run.
/// * persister: the record goes to `DUPLICATES` as a part of the run, and is judged like any other.
pub(crate) fn again(letter: &Letter, run: &str, raw_sequence: Option<u64>) -> Result<Outgoing, NotAgain> {
    let (channel, source) = (letter.envelope.channel, &letter.envelope.source);
    let payload: Bytes = letter.message.payload.clone();
    if letter.envelope.stage == Stage::Normalizer {
        let envelope = RawEnvelope::read(&letter.message).map_err(|_| NotAgain::Stranger)?;
        return Ok(resend::request(channel, source, &envelope, raw_sequence, run, payload)?);
    }
    let mut envelope = RecordEnvelope::read(&letter.message).map_err(|_| NotAgain::Stranger)?;
    let subject = if letter.envelope.stage == Stage::Dedup {
        subject::canonical(channel, source)
    } else {
        envelope.replay = Some(run.to_owned());
        subject::duplicate(channel, source)
    };
    Ok(resend::message(subject, &format!("{run}:{}", envelope.record), &envelope.to_pairs(), payload)?)
}

/// A request's place in `RAW`, where the entry says it: it was a replay then.
pub(crate) fn told_sequence(letter: &Letter) -> Option<u64> {
    letter.message.get(header::RAW_SEQUENCE)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::dlq::entries::tests::{envelope, stored};
    use proto::subject::SourceName;
    use proto::{Channel, HashKey, KeyHasher, Millis, Verified};

    fn letter(stage: Stage) -> Letter {
        let received_at = Millis::from_unix(1_795_412_009_120).unwrap();
        let pairs = if stage == Stage::Normalizer {
            let raw = RawEnvelope {
                id: Uuid::from_u128(1),
                received_at,
                method: "POST".into(),
                query: None,
                provider: "twilio".into(),
                verified: Verified::Yes,
                headers: Vec::new(),
                body: None,
                replay: None,
                traceparent: None,
            };
            raw.to_pairs()
        } else {
            let record = RecordEnvelope {
                request_id: Uuid::from_u128(1),
                part: 0,
                record: Uuid::from_u128(2),
                key: KeyHasher::new(&HashKey::derive(b"s")).part("x").finish(),
                channel: Channel::Sms,
                source: SourceName::parse("support").unwrap(),
                received_at,
                replay: None,
                dedup: None,
                body: None,
                traceparent: None,
            };
            record.to_pairs()
        };
        Letter::read(stored("dlq.x", &[pairs, envelope(stage).to_pairs()])).unwrap()
    }

    fn sent(stage: Stage) -> (String, Option<String>, Option<String>, Outgoing) {
        let message = again(&letter(stage), "r1", Some(9)).unwrap();
        let header = |name: &str| message.headers.get(name).map(|value| value.as_str().to_owned());
        (message.subject.clone(), header("Nats-Msg-Id"), header("Penstock-Replay"), message)
    }

    #[test]
    fn each_stages_entry_goes_where_that_stage_or_the_judge_takes_it_up() {
        let (subject, id, replay, message) = sent(Stage::Normalizer);
        assert_eq!(subject, "replay.raw.sms.support");
        assert_eq!((id, replay), (Some(format!("r1:{}", Uuid::from_u128(1))), Some("r1".into())));
        assert!(message.headers.get("Penstock-Reason").is_none() && message.headers.get("Penstock-Stage").is_none());
        assert_eq!(message.headers.get("Penstock-Raw-Sequence").map(|v| v.as_str().to_owned()), Some("9".into()));

        let (subject, id, replay, _) = sent(Stage::Persister);
        assert_eq!(subject, "duplicate.sms.support");
        assert_eq!((id, replay), (Some(format!("r1:{}", Uuid::from_u128(2))), Some("r1".into())));

        let (subject, id, replay, message) = sent(Stage::Dedup);
        assert_eq!(subject, "canonical.sms.support");
        assert_eq!((id, replay), (Some(format!("r1:{}", Uuid::from_u128(2))), None));
        assert_eq!(&message.payload[..], b"b");
    }

    #[test]
    fn what_never_was_ours_is_not_sent_again() {
        let stranger = Letter::read(stored("dlq.x", &[envelope(Stage::Persister).to_pairs()])).unwrap();
        assert!(matches!(again(&stranger, "r1", None), Err(NotAgain::Stranger)));
    }
}
