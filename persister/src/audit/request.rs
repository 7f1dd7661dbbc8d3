//! A request as the audit knows it: by the headers of its message in `RAW`. Pure.

use proto::envelope::Lookup;
use proto::subject::{SourceName, channel_and_source};
use proto::{Channel, Millis, RawEnvelope, header};
use uuid::Uuid;

/// A request that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its sequence in `RAW`.
    pub sequence: u64,
    /// Where it came in.
    pub channel: Channel,
    /// The source it came in at.
    pub source: SourceName,
    /// Its `Penstock-Id`.
    pub id: Uuid,
    /// When the gateway had it, which all its records carry.
    pub received_at: Millis,
}

impl Request {
    /// Reads as little as is needed; `None` for a message that is no request of ours.
    pub fn read(subject: &str, sequence: u64, headers: &impl Lookup) -> Option<Self> {
        let (channel, source) = channel_and_source(subject)?;
        let id = headers.get(header::ID)?.parse().ok()?;
        let received_at = headers.get(header::RECEIVED_AT)?.parse().ok()?;
        Some(Self { sequence, channel, source, id, received_at })
    }
}

/// Whether the normalizer takes a message for one of somebody else's, and puts it aside without a request's id. Asked only
/// of what has no ending: it reads everything.
pub fn is_strangers(headers: &impl Lookup) -> bool {
    RawEnvelope::read(headers).is_err()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::Verified;
    use proto::envelope::Pairs;

    #[test]
    fn a_request_is_told_from_what_somebody_else_has_published() {
        let envelope = RawEnvelope {
            id: Uuid::from_u128(7),
            received_at: Millis::from_unix(1_795_412_009_120).unwrap(),
            method: "POST".into(),
            query: None,
            provider: "none".into(),
            verified: Verified::None,
            headers: Vec::new(),
            body: None,
            replay: None,
            traceparent: None,
        };
        let ours = envelope.to_pairs();
        let request = Request::read("raw.sms.support", 3, &ours).unwrap();
        assert_eq!((request.id, request.received_at, request.sequence), (envelope.id, envelope.received_at, 3));
        assert!(!is_strangers(&ours));
        assert_eq!(Request::read("raw.probe", 3, &ours), None);
        assert_eq!(Request::read("raw.sms.support", 3, &Pairs::new()), None);

        // One that names an id and a time, and is none all the same.
        let forged: Pairs = envelope.to_pairs().into_iter().filter(|(name, _)| *name != header::HEADERS).collect();
        assert!(Request::read("raw.sms.support", 3, &forged).is_some() && is_strangers(&forged));
    }
}
