//! What the broker says of a stream and a consumer, with the broker's own time, which the library leaves out.

use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::nats::Nats;

/// Why the broker told nothing.
#[derive(Debug, thiserror::Error)]
pub enum InfoError {
    /// It did not answer.
    #[error("NATS did not answer when asked about {what}")]
    Asking {
        /// The stream, or stream and consumer.
        what: String,
        /// The library's error.
        #[source]
        source: async_nats::client::RequestError,
    },
    /// It answered something that is no answer.
    #[error("NATS answered in a way this version does not know when asked about {what}")]
    Reading {
        /// The stream, or stream and consumer.
        what: String,
        /// What is wrong with the answer.
        #[source]
        source: serde_json::Error,
    },
    /// It answered with an error; "stream not found" and "consumer not found" are such.
    #[error("NATS has no {what}: {description}")]
    Refused {
        /// The stream, or stream and consumer.
        what: String,
        /// The broker's words.
        description: String,
        /// The broker's number.
        code: u64,
    },
}

impl InfoError {
    /// Whether the thing asked about does not exist.
    pub fn is_missing(&self) -> bool {
        const STREAM_NOT_FOUND: u64 = 10_059;
        const CONSUMER_NOT_FOUND: u64 = 10_014;
        matches!(self, Self::Refused { code: STREAM_NOT_FOUND | CONSUMER_NOT_FOUND, .. })
    }
}

/// A stream as it is.
#[derive(Clone, Debug, Deserialize)]
pub struct StreamInfo {
    /// Its properties.
    pub config: StreamConfig,
    /// What it holds.
    pub state: StreamState,
    /// The broker's clock when it answered, RFC 3339.
    #[serde(default)]
    pub ts: Option<String>,
}

/// Asks for the subjects of a stream, from the `offset`th on.
#[derive(Clone, Copy, Debug, Serialize)]
struct SubjectsPage {
    subjects_filter: &'static str,
    offset: usize,
}

/// How many messages each subject holds.
#[derive(Clone, Debug, Deserialize)]
struct Subjects {
    state: SubjectsState,
}

#[derive(Clone, Debug, Deserialize)]
struct SubjectsState {
    /// Left out where there is none.
    #[serde(default)]
    subjects: Option<HashMap<String, u64>>,
}

/// The properties of a stream that safety rests on.
#[derive(Clone, Debug, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the broker's own shape")]
pub struct StreamConfig {
    /// Subjects it takes in.
    #[serde(default)]
    pub subjects: Vec<String>,
    /// `limits`, `interest` or `workqueue`.
    #[serde(default)]
    pub retention: String,
    /// `old` or `new`.
    #[serde(default)]
    pub discard: String,
    /// `file` or `memory`.
    #[serde(default)]
    pub storage: String,
    /// Byte limit; -1 for none.
    #[serde(default)]
    pub max_bytes: i64,
    /// Messages a subject may hold; -1 for any number.
    #[serde(default)]
    pub max_msgs_per_subject: i64,
    /// Whether a full subject refuses the next message.
    #[serde(default)]
    pub discard_new_per_subject: bool,
    /// Longest age in nanoseconds; 0 for none.
    #[serde(default)]
    pub max_age: i64,
    /// How long the broker remembers a `Nats-Msg-Id`, in nanoseconds.
    #[serde(default)]
    pub duplicate_window: i64,
    /// Copies.
    #[serde(default)]
    pub num_replicas: u64,
    /// Whether publishing answers nothing.
    #[serde(default)]
    pub no_ack: bool,
    /// Whether a header may purge the stream.
    #[serde(default)]
    pub allow_rollup_hdrs: bool,
    /// Whether it takes no more messages.
    #[serde(default)]
    pub sealed: bool,
    /// Whether publishers may use atomic batches.
    #[serde(default)]
    pub allow_atomic: bool,
    /// Whether messages can be read without asking the leader.
    #[serde(default)]
    pub allow_direct: bool,
    /// `async` where a publish is acknowledged before it is stored; `default` or nothing otherwise.
    #[serde(default)]
    pub persist_mode: String,
    /// The layout, the consumers.
    #[serde(default)]
    pub metadata: HashMap<String, String>,
}

/// What a stream holds.
#[derive(Clone, Debug, Deserialize)]
pub struct StreamState {
    /// Messages.
    pub messages: u64,
    /// Bytes on disk.
    pub bytes: u64,
    /// Sequence of the oldest message.
    pub first_seq: u64,
    /// When the oldest message was stored, RFC 3339.
    pub first_ts: String,
    /// Sequence of the newest message, also when it is gone.
    pub last_seq: u64,
}

/// A consumer as it is.
#[derive(Clone, Debug, Deserialize)]
pub struct ConsumerInfo {
    /// Its properties.
    pub config: ConsumerConfig,
    /// Everything up to here is acknowledged.
    pub ack_floor: Position,
    /// Everything up to here was delivered at least once.
    pub delivered: Position,
    /// Delivered and not acknowledged.
    pub num_ack_pending: u64,
    /// Not delivered yet.
    pub num_pending: u64,
    /// Delivered more than once, of those not acknowledged.
    #[serde(default)]
    pub num_redelivered: u64,
}

/// The properties of a consumer that safety rests on.
#[derive(Clone, Debug, Deserialize)]
pub struct ConsumerConfig {
    /// The one filter.
    #[serde(default)]
    pub filter_subject: String,
    /// Filters where there are several.
    #[serde(default)]
    pub filter_subjects: Vec<String>,
    /// Where it begins: `all`, `new`, `last`, ...
    #[serde(default)]
    pub deliver_policy: String,
    /// `explicit`, `all` or `none`.
    #[serde(default)]
    pub ack_policy: String,
    /// Tries before the broker gives up; -1 for never.
    #[serde(default)]
    pub max_deliver: i64,
    /// How long a delivery may stay unanswered, in nanoseconds.
    #[serde(default)]
    pub ack_wait: u64,
    /// Waits between tries, in nanoseconds, in place of [`Self::ack_wait`].
    #[serde(default)]
    pub backoff: Vec<u64>,
    /// Deliveries that may be unanswered at once.
    #[serde(default)]
    pub max_ack_pending: i64,
    /// Whether it delivers no payloads.
    #[serde(default)]
    pub headers_only: bool,
    /// After how long without a reader the broker deletes it, in nanoseconds; 0 for never.
    #[serde(default)]
    pub inactive_threshold: u64,
}

/// A place in a stream and in a consumer's own count.
#[derive(Clone, Debug, Deserialize)]
pub struct Position {
    /// The consumer's own count of deliveries.
    pub consumer_seq: u64,
    /// The stream's sequence.
    pub stream_seq: u64,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Answer<T> {
    Refused { error: Refusal },
    Given(T),
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    err_code: u64,
    #[serde(default)]
    description: String,
}

/// How far back streams reach, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// The broker's clock.
    pub now: i64,
    /// When the oldest message was stored; [`Self::now`] where there is none.
    pub oldest: i64,
}

/// A message read from a stream without a consumer.
#[derive(Clone, Debug, Deserialize)]
pub struct Stored {
    /// Its sequence.
    pub seq: u64,
    /// When it was stored, RFC 3339.
    pub time: String,
}

impl Nats {
    /// Asks about a stream.
    pub async fn stream_info(&self, stream: &str) -> Result<StreamInfo, InfoError> {
        self.ask(format!("STREAM.INFO.{stream}"), stream.to_owned(), None::<&()>).await
    }

    /// The subject that holds the most messages of a stream, and how many. It asks for every subject there is, by the
    /// hundred thousand.
    pub async fn fullest_subject(&self, stream: &str) -> Result<Option<(String, u64)>, InfoError> {
        let mut fullest: Option<(String, u64)> = None;
        let mut offset = 0;
        loop {
            let page = SubjectsPage { subjects_filter: ">", offset };
            let info: Subjects = self.ask(format!("STREAM.INFO.{stream}"), stream.to_owned(), Some(&page)).await?;
            let subjects = info.state.subjects.unwrap_or_default();
            if subjects.is_empty() {
                return Ok(fullest);
            }
            offset += subjects.len();
            fullest = subjects.into_iter().chain(fullest).max_by_key(|(_, messages)| *messages);
        }
    }

    /// Asks about a consumer.
    pub async fn consumer_info(&self, stream: &str, consumer: &str) -> Result<ConsumerInfo, InfoError> {
        let what = format!("{stream}/{consumer}");
        self.ask(format!("CONSUMER.INFO.{stream}.{consumer}"), what, None::<&()>).await
    }

    /// How far back these streams reach, by the broker's clock. A time that cannot be read could be any, so it counts
    /// as the earliest there is.
    pub async fn reach(&self, streams: &[&str]) -> Result<Reach, InfoError> {
        let mut reach = Reach { now: i64::MAX, oldest: i64::MAX };
        for stream in streams {
            let info = self.stream_info(stream).await?;
            let now = info.ts.as_deref().and_then(broker_millis).unwrap_or(i64::MIN);
            let first =
                if info.state.messages == 0 { now } else { broker_millis(&info.state.first_ts).unwrap_or(i64::MIN) };
            // The earliest answer: a message that came in while the others were asked is younger than it.
            reach.now = reach.now.min(now);
            reach.oldest = reach.oldest.min(first).min(now);
        }
        Ok(reach)
    }

    /// Purges a stream of everything before `sequence`; how many messages went.
    ///
    /// A purge past an unacknowledged message loses it in silence: only [`crate::trim`] calls this.
    pub(crate) async fn purge_before(&self, stream: &str, sequence: u64) -> Result<u64, InfoError> {
        #[derive(Serialize)]
        struct Request {
            seq: u64,
        }
        #[derive(Deserialize)]
        struct Purged {
            #[serde(default)]
            purged: u64,
        }
        let purged: Purged =
            self.ask(format!("STREAM.PURGE.{stream}"), stream.to_owned(), Some(&Request { seq: sequence })).await?;
        Ok(purged.purged)
    }

    /// The first message at or after `sequence` on a subject that fits `filter`; `None` where there is none.
    pub async fn next_stored(&self, stream: &str, sequence: u64, filter: &str) -> Result<Option<Stored>, InfoError> {
        #[derive(Serialize)]
        struct Request<'a> {
            seq: u64,
            next_by_subj: &'a str,
        }
        #[derive(Deserialize)]
        struct Found {
            message: Stored,
        }
        const NO_MESSAGE: u64 = 10_037;
        let request = Request { seq: sequence.max(1), next_by_subj: if filter.is_empty() { ">" } else { filter } };
        match self.ask::<_, Found>(format!("STREAM.MSG.GET.{stream}"), stream.to_owned(), Some(&request)).await {
            Ok(found) => Ok(Some(found.message)),
            Err(InfoError::Refused { code: NO_MESSAGE, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Some questions must have an empty payload: `null` is refused.
    async fn ask<Q: Serialize, T: serde::de::DeserializeOwned>(
        &self,
        subject: String,
        what: String,
        request: Option<&Q>,
    ) -> Result<T, InfoError> {
        let payload = match request.map(serde_json::to_vec).transpose() {
            Ok(payload) => payload.unwrap_or_default(),
            Err(source) => return Err(InfoError::Reading { what, source }),
        };
        let answer = match self.client().request(format!("$JS.API.{subject}"), payload.into()).await {
            Ok(answer) => answer,
            Err(source) => return Err(InfoError::Asking { what, source }),
        };
        match serde_json::from_slice(&answer.payload) {
            Ok(Answer::Given(answer)) => Ok(answer),
            Ok(Answer::Refused { error }) => {
                Err(InfoError::Refused { what, description: error.description, code: error.err_code })
            }
            Err(source) => Err(InfoError::Reading { what, source }),
        }
    }
}

/// A moment the broker wrote, in milliseconds since 1970. The broker writes nanoseconds; a stream without messages has
/// the year 1.
pub fn broker_millis(text: &str) -> Option<i64> {
    chrono::DateTime::parse_from_rfc3339(text).ok().map(|time| time.timestamp_millis())
}

/// Nanoseconds as the broker's API writes durations.
pub(crate) fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}
