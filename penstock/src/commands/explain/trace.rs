//! Where something is that has no row yet: its place in each stream, and whether the stage behind has passed it.

use proto::envelope::Lookup as _;
use proto::subject::channel_and_source;
use proto::{DeadLetterEnvelope, RawEnvelope, header};
use runtime::nats::Nats;
use runtime::stream_info::ConsumerInfo;
use runtime::topology::{CANONICAL, DLQ, DUPLICATES, HELD, RAW, REPLAY, UNIQUE};
use serde::Serialize;
use uuid::Uuid;

use crate::commands::error::CommandError;
use crate::commands::locate::Reach;
use crate::commands::stream::Stored;
use crate::commands::{clock, locate};

/// A request as it lies in a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Request {
    pub(crate) id: Uuid,
    pub(crate) received_at: String,
    /// `POST /v1/sms/support`.
    pub(crate) line: String,
    pub(crate) provider: String,
    pub(crate) verified: String,
    /// `RAW/1234`.
    pub(crate) place: String,
    pub(crate) stored_at: String,
}

/// The last sign of something that has no ending yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Waiting {
    /// `CANONICAL/77`.
    pub(crate) place: String,
    pub(crate) since: String,
    /// The stage that has it before it.
    pub(crate) stage: &'static str,
    pub(crate) progress: Progress,
}

/// How far a consumer is with a message, as far as the broker tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Progress {
    /// Not delivered to anybody yet.
    Queued {
        /// How many are before it at most.
        before: u64,
    },
    /// Delivered; not known to be done.
    InHand,
    /// Acknowledged: what became of it is further on.
    Passed,
}

/// Everything the streams tell of an id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Trace {
    pub(crate) request: Option<Request>,
    pub(crate) held: Option<Request>,
    pub(crate) dead: Option<Dead>,
    /// From the last stream back: the first that it has not passed.
    pub(crate) waiting: Option<Waiting>,
}

/// An entry of `DLQ` that the table does not know yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Dead {
    pub(crate) record: Uuid,
    pub(crate) stage: String,
    pub(crate) reason: String,
    pub(crate) detail: String,
    pub(crate) since: String,
}

/// The streams a message goes through, the last first, with who takes from each.
const WAY: [(&str, &str, &str); 4] = [
    (DUPLICATES, "persister-duplicates", "persister"),
    (UNIQUE, "persister", "persister"),
    (CANONICAL, "dedup", "dedup"),
    (REPLAY, "normalizer-replay", "normalizer"),
];

/// The request itself, where `RAW` still has it.
pub(crate) async fn request(nats: &Nats, id: Uuid) -> Result<Option<Request>, CommandError> {
    Ok(locate::by_id(nats, RAW, id, Reach::Near).await?.and_then(|stored| Request::of(RAW, &stored)))
}

/// Looks everywhere.
pub(crate) async fn trace(nats: &Nats, id: Uuid) -> Result<Trace, CommandError> {
    let raw = locate::by_id(nats, RAW, id, Reach::Far).await?;
    let held = locate::by_id(nats, HELD, id, Reach::Far).await?;
    let dead = locate::by_id(nats, DLQ, id, Reach::Far).await?;
    let mut waiting = None;
    for (stream, consumer, stage) in WAY {
        if waiting.is_none() {
            waiting = match locate::by_id(nats, stream, id, Reach::Far).await? {
                Some(stored) => Some(look(nats, stream, consumer, stage, &stored).await?),
                None => None,
            };
        }
    }
    if let (None, Some(stored)) = (&waiting, &raw) {
        let channel = channel_and_source(&stored.subject).map_or_else(String::new, |(channel, _)| channel.to_string());
        waiting = Some(look(nats, RAW, &format!("normalizer-{channel}"), "normalizer", stored).await?);
    }
    Ok(Trace {
        request: raw.and_then(|stored| Request::of(RAW, &stored)),
        held: held.and_then(|stored| Request::of(HELD, &stored)),
        dead: dead.and_then(|stored| Dead::of(&stored)),
        waiting,
    })
}

async fn look(
    nats: &Nats,
    stream: &str,
    consumer: &str,
    stage: &'static str,
    stored: &Stored,
) -> Result<Waiting, CommandError> {
    let info = nats.consumer_info(stream, consumer).await?;
    Ok(Waiting {
        place: format!("{stream}/{}", stored.sequence),
        since: clock::text(stored.stored_at),
        stage,
        progress: progress(&info, stored.sequence),
    })
}

/// An idle consumer's floor does not move past what its filter leaves out, so one with nothing left has passed all.
fn progress(consumer: &ConsumerInfo, sequence: u64) -> Progress {
    if sequence <= consumer.ack_floor.stream_seq || (consumer.num_pending == 0 && consumer.num_ack_pending == 0) {
        return Progress::Passed;
    }
    match sequence.checked_sub(consumer.delivered.stream_seq) {
        None | Some(0) => Progress::InHand,
        Some(ahead) => Progress::Queued { before: (ahead - 1).min(consumer.num_pending) },
    }
}

impl Request {
    fn of(stream: &str, stored: &Stored) -> Option<Self> {
        let envelope = RawEnvelope::read(stored).ok()?;
        let (channel, source) = channel_and_source(&stored.subject)?;
        Some(Self {
            id: envelope.id,
            received_at: envelope.received_at.to_string(),
            line: format!("{} /v1/{channel}/{source}", envelope.method),
            provider: envelope.provider,
            verified: envelope.verified.to_string(),
            place: format!("{stream}/{}", stored.sequence),
            stored_at: clock::text(stored.stored_at),
        })
    }
}

impl Dead {
    fn of(stored: &Stored) -> Option<Self> {
        let letter = DeadLetterEnvelope::read(stored).ok()?;
        debug_assert!(stored.get(header::STAGE).is_some());
        Some(Self {
            record: letter.record,
            stage: letter.stage.to_string(),
            reason: letter.reason,
            detail: letter.detail,
            since: clock::text(stored.stored_at),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn consumer(floor: u64, delivered: u64, ack_pending: u64, pending: u64) -> ConsumerInfo {
        serde_json::from_value(serde_json::json!({
            "config": {},
            "ack_floor": { "consumer_seq": 0, "stream_seq": floor },
            "delivered": { "consumer_seq": 0, "stream_seq": delivered },
            "num_ack_pending": ack_pending, "num_pending": pending,
        }))
        .unwrap()
    }

    #[test]
    fn a_message_is_queued_in_hand_or_passed() {
        let busy = consumer(10, 15, 5, 100);
        assert_eq!(progress(&busy, 10), Progress::Passed);
        assert_eq!(progress(&busy, 11), Progress::InHand);
        assert_eq!(progress(&busy, 15), Progress::InHand);
        assert_eq!(progress(&busy, 16), Progress::Queued { before: 0 });
        assert_eq!(progress(&busy, 500), Progress::Queued { before: 100 });
    }

    #[test]
    fn an_idle_consumer_has_passed_everything() {
        assert_eq!(progress(&consumer(10, 10, 0, 0), 500), Progress::Passed);
    }
}
