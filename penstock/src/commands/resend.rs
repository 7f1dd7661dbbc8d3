//! Publishing again what was published before: under the name of a run, with its payload in `BODIES` made fresh first,
//! and patient where the stream is full.
//!
//! A message that refers to a payload is never older than the last copy of it (trimming `BODIES` relies on that), so
//! whoever publishes such a message puts the payload again first.

use std::time::Duration;

use bytes::Bytes;
use proto::body_ref::CHUNK;
use proto::envelope::Pairs;
use proto::subject::SourceName;
use proto::{BodyRef, Channel, RawEnvelope, header, subject};
use runtime::bodies::{BodyError, Payload};
use runtime::nats::Nats;
use runtime::publish::{self, Outgoing, Patience, PublishError};
use uuid::Uuid;

use super::error::CommandError;
use super::{clock, out};

/// How long the broker may take to take one batch.
const LIMIT: Duration = Duration::from_secs(20);
/// How long to wait before trying a full stream again, and how often.
const FULL: Duration = Duration::from_secs(1);
const FULL_TRIES: usize = 600;

/// Why something cannot be published again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResendError {
    /// Its payload is gone; nothing can bring it back.
    #[error("its body is not in BODIES any more: it was kept as long as the configuration says")]
    NoBody,
    /// A header cannot be written.
    #[error("a header of it cannot be written")]
    Header,
    /// The broker.
    #[error("the broker does not take it now")]
    Broker(#[source] CommandError),
}

impl From<BodyError> for ResendError {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::Missing { .. } => Self::NoBody,
            error => Self::Broker(CommandError::unreachable("NATS does not answer", "try again").because(error)),
        }
    }
}

/// The name of a run: sorts by time, and two started in the same second differ.
pub(crate) fn run_name() -> String {
    let time: String = clock::text(clock::now()).chars().filter(char::is_ascii_alphanumeric).take(15).collect();
    let random = Uuid::new_v4().simple().to_string();
    format!("r-{time}-{}", random.get(..4).unwrap_or("0000"))
}

/// A run's name that a person chose: it becomes a part of message ids.
pub(crate) fn parse_run(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if (1..=64).contains(&text.len()) && text.bytes().all(fits) {
        Ok(text.to_owned())
    } else {
        Err("1 to 64 letters, digits, '-', '_' and '.' are a run's name".to_owned())
    }
}

/// A message of these headers.
pub(crate) fn message(
    subject: String,
    message_id: &str,
    pairs: &Pairs,
    payload: Bytes,
) -> Result<Outgoing, ResendError> {
    let headers = publish::headers(message_id, pairs.clone()).ok_or(ResendError::Header)?;
    Ok(Outgoing { subject, headers, payload })
}

/// A request to be read again. Its id names the run: the broker would otherwise take a second run for a retry of the
/// first.
pub(crate) fn request(
    channel: Channel,
    source: &SourceName,
    envelope: &RawEnvelope,
    raw_sequence: Option<u64>,
    run: &str,
    payload: Bytes,
) -> Result<Outgoing, ResendError> {
    let replayed = RawEnvelope { replay: Some(run.to_owned()), ..envelope.clone() };
    let mut pairs = replayed.to_pairs();
    pairs.extend(raw_sequence.map(|sequence| (header::RAW_SEQUENCE, sequence.to_string())));
    message(subject::replay(channel, source), &format!("{run}:{}", envelope.id), &pairs, payload)
}

/// A payload: what the message holds, or what it refers to.
pub(crate) async fn payload(nats: &Nats, id: Uuid, body: Option<BodyRef>, held: &Bytes) -> Result<Bytes, ResendError> {
    let Some(reference) = body else { return Ok(held.clone()) };
    let BodyRef { chunks, size, hash } = reference;
    let payload = nats.get_body(Payload { id, chunks, size, hash }).await?;
    if reference.fits(&payload) { Ok(payload) } else { Err(ResendError::NoBody) }
}

/// Puts what a message refers to again; nothing where it refers to nothing.
pub(crate) async fn renew(nats: &Nats, id: Uuid, body: Option<BodyRef>) -> Result<(), ResendError> {
    let Some(BodyRef { chunks, size, hash }) = body else { return Ok(()) };
    let bytes = payload(nats, id, body, &Bytes::new()).await?;
    let payload = Payload { id, chunks, size, hash };
    Ok(nats.put_body(payload, &bytes, CHUNK, Patience::for_at_most(LIMIT)).await?)
}

/// Publishes all, and waits until the broker has them. A full stream is waited for: it is emptied by whoever works it.
pub(crate) async fn publish(nats: &Nats, messages: Vec<Outgoing>) -> Result<(), CommandError> {
    let mut left = messages;
    for tried in 0..FULL_TRIES {
        let mut full = Vec::new();
        let results = nats.publish_all(&left, |message| Some(message.clone()), Patience::for_at_most(LIMIT)).await;
        for (message, result) in left.into_iter().zip(results) {
            match result {
                Ok(_) => {}
                Err(PublishError::Full(_)) => full.push(message),
                Err(error) => return Err(refused(error)),
            }
        }
        if full.is_empty() {
            return Ok(());
        }
        if tried == 0 {
            out::note("the stream is full; waiting for the workers to empty it ...");
        }
        tokio::time::sleep(FULL).await;
        left = full;
    }
    let next = "look with `penstock status` why the stage behind it does not work, then run this again";
    Err(CommandError::unreachable("the stream stayed full for ten minutes", next))
}

fn refused(error: PublishError) -> CommandError {
    let next = "look at `penstock status`, then run this again: what is sent twice is taken once";
    CommandError::unreachable("NATS did not take a message", next).because(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::{Millis, Verified};

    #[test]
    fn a_run_has_a_name_of_its_own_that_sorts_by_time() {
        let (one, other) = (run_name(), run_name());
        assert!(one.starts_with("r-20") && one.len() == 22, "{one}");
        assert_eq!(one.get(..10), other.get(..10));
        assert!(parse_run(&one).is_ok());
        assert!(parse_run("a:b").is_err() && parse_run("").is_err() && parse_run(&"x".repeat(65)).is_err());
    }

    #[test]
    fn a_replayed_request_keeps_its_headers_and_names_its_run() {
        let envelope = RawEnvelope {
            id: Uuid::from_u128(7),
            received_at: Millis::from_unix(1_795_412_009_120).unwrap(),
            method: "POST".into(),
            query: Some("a=%2B".into()),
            provider: "twilio".into(),
            verified: Verified::Yes,
            headers: vec![("content-type".into(), b"text/plain".to_vec())],
            body: None,
            replay: None,
            traceparent: None,
        };
        let source = SourceName::parse("support").unwrap();
        let message = request(Channel::Sms, &source, &envelope, Some(12), "r1", Bytes::from("b")).unwrap();
        assert_eq!(message.subject, "replay.raw.sms.support");
        let header = |name: &str| message.headers.get(name).map(async_nats::HeaderValue::as_str);
        assert_eq!(header("Nats-Msg-Id"), Some("r1:00000000-0000-0000-0000-000000000007"));
        assert_eq!((header("Penstock-Replay"), header("Penstock-Raw-Sequence")), (Some("r1"), Some("12")));
        assert_eq!((header("Penstock-Query"), header("Penstock-Verified")), (Some("a=%2B"), Some("yes")));
    }
}
