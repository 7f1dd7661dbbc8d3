//! Reading streams from the outside: one message by its place, or many in order without touching what the workers'
//! consumers have done.
//!
//! What a reader would get wrong: a scan ends at what was the newest message when it began, so it has an end on a stream
//! that is being written to.

use std::time::{Duration, UNIX_EPOCH};

use async_nats::HeaderMap;
use async_nats::jetstream::consumer::{DeliverPolicy, pull};
use async_nats::jetstream::stream::DirectGetErrorKind;
use bytes::Bytes;
use futures::StreamExt as _;
use proto::envelope::Lookup;
use runtime::nats::Nats;
use tokio::time::timeout;

use super::error::CommandError;

/// Longest wait for one message of a scan, or for one answer.
const WAIT: Duration = Duration::from_secs(10);

/// A message as it lies in a stream.
#[derive(Clone, Debug)]
#[expect(clippy::struct_field_names, reason = "the word is the broker's: when it was stored")]
pub(crate) struct Stored {
    pub(crate) subject: String,
    pub(crate) sequence: u64,
    /// When the broker stored it, in milliseconds since 1970.
    pub(crate) stored_at: i64,
    pub(crate) headers: HeaderMap,
    /// Empty in a scan of headers.
    pub(crate) payload: Bytes,
}

impl Lookup for Stored {
    fn get(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(async_nats::HeaderValue::as_str)
    }
}

/// Where a scan begins.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Begin {
    Sequence(u64),
    /// By the broker's clock, in milliseconds since 1970.
    Time(i64),
}

/// What to read.
#[derive(Clone, Debug)]
pub(crate) struct Scan {
    pub(crate) stream: &'static str,
    /// The subjects to read; all where empty.
    pub(crate) subjects: Vec<String>,
    pub(crate) begin: Begin,
    pub(crate) headers_only: bool,
}

/// A scan under way.
pub(crate) struct Scanner {
    nats: Nats,
    scan: Scan,
    messages: pull::Ordered,
    /// The newest message when the scan began.
    end: u64,
    /// How many there were to read when the scan began.
    total: u64,
    after: u64,
    done: bool,
}

impl Scan {
    /// Begins to read.
    pub(crate) async fn start(self, nats: &Nats) -> Result<Scanner, CommandError> {
        let end = nats.stream_info(self.stream).await?.state.last_seq;
        let config = pull::OrderedConfig {
            filter_subjects: self.subjects.clone(),
            headers_only: self.headers_only,
            deliver_policy: match self.begin {
                Begin::Sequence(start_sequence) => {
                    DeliverPolicy::ByStartSequence { start_sequence: start_sequence.max(1) }
                }
                Begin::Time(millis) => {
                    let since = Duration::from_millis(u64::try_from(millis).unwrap_or(0));
                    DeliverPolicy::ByStartTime { start_time: (UNIX_EPOCH + since).into() }
                }
            },
            ..pull::OrderedConfig::default()
        };
        let make = nats.jetstream().create_consumer_on_stream(config, self.stream).await;
        let consumer = make.map_err(|error| self.unreadable().because(error))?;
        let total = consumer.cached_info().num_pending;
        let messages = consumer.messages().await.map_err(|error| self.unreadable().because(error))?;
        Ok(Scanner { nats: nats.clone(), scan: self, messages, end, total, after: 0, done: total == 0 })
    }

    fn unreadable(&self) -> CommandError {
        CommandError::unreachable(
            format!("cannot read the stream {}", self.stream),
            "look at NATS' log, then try again",
        )
    }
}

impl Scanner {
    /// How many messages there were to read when it began.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// The next message, in order; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Stored>, CommandError> {
        if self.done {
            return Ok(None);
        }
        let message = match timeout(WAIT, self.messages.next()).await {
            Ok(Some(Ok(message))) => message,
            Ok(Some(Err(error))) => return Err(self.scan.unreadable().because(error)),
            Ok(None) => return Ok(None),
            Err(_) if !self.more_to_read().await? => return Ok(None),
            Err(elapsed) => return Err(self.scan.unreadable().because(elapsed)),
        };
        let info = message.info().map_err(|error| self.scan.unreadable().because(error))?;
        let (sequence, pending) = (info.stream_sequence, info.pending);
        let stored_at = i64::try_from(info.published.unix_timestamp_nanos() / 1_000_000).unwrap_or(0);
        self.done = pending == 0 || sequence >= self.end;
        self.after = sequence;
        if sequence > self.end {
            return Ok(None);
        }
        let message = message.message;
        Ok(Some(Stored {
            subject: message.subject.to_string(),
            sequence,
            stored_at,
            headers: message.headers.unwrap_or_default(),
            payload: message.payload,
        }))
    }

    /// Whether there is anything left before the end: what was still to come may have been trimmed meanwhile.
    async fn more_to_read(&self) -> Result<bool, CommandError> {
        let any = [String::new()];
        let filters = if self.scan.subjects.is_empty() { &any[..] } else { &self.scan.subjects };
        for filter in filters {
            let next = self.nats.next_stored(self.scan.stream, self.after + 1, filter).await?;
            if next.is_some_and(|next| next.seq <= self.end) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The first message at or after `from` on a subject that fits `filter`.
pub(crate) async fn first(
    nats: &Nats,
    stream: &'static str,
    filter: &str,
    from: u64,
) -> Result<Option<Stored>, CommandError> {
    let unreadable = || CommandError::unreachable(format!("cannot read the stream {stream}"), "try again");
    let handle = nats.jetstream().get_stream_no_info(stream).await.map_err(|e| unreadable().because(e))?;
    match timeout(WAIT, handle.direct_get_next_for_subject(filter, Some(from.max(1)))).await {
        Ok(Ok(message)) => Ok(Some(Stored {
            subject: message.subject.to_string(),
            sequence: message.sequence,
            stored_at: i64::try_from(message.time.unix_timestamp_nanos() / 1_000_000).unwrap_or(0),
            headers: message.headers,
            payload: message.payload,
        })),
        Ok(Err(error)) if error.kind() == DirectGetErrorKind::NotFound => Ok(None),
        Ok(Err(error)) => Err(unreadable().because(error)),
        Err(elapsed) => Err(unreadable().because(elapsed)),
    }
}

/// Deletes one message for good. Doing it again is no error.
pub(crate) async fn delete(nats: &Nats, stream: &'static str, sequence: u64) -> Result<(), CommandError> {
    let refused = || {
        let what = format!("could not delete the message {sequence} of {stream}");
        CommandError::unreachable(what, "try again: doing it twice is harmless")
    };
    let handle = nats.jetstream().get_stream_no_info(stream).await.map_err(|e| refused().because(e))?;
    match timeout(WAIT, handle.delete_message(sequence)).await {
        Ok(Ok(_)) => Ok(()),
        // Somebody else did, or an earlier try whose answer was lost: then it is not there any more.
        Ok(Err(error)) => match first(nats, stream, ">", sequence).await? {
            Some(there) if there.sequence == sequence => Err(refused().because(error)),
            _ => Ok(()),
        },
        Err(elapsed) => Err(refused().because(elapsed)),
    }
}
