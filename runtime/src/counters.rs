//! Numbers that several processes add to, in NATS (ADR-49): the stream `LIMITS`, with one counter for each subject.
//!
//! None of it is a message of anybody's. A counter that is lost begins at nothing, and who uses it has to bear that; so this
//! stream is none of those in [`crate::topology`], and has properties that would be wrong there. It may drop what is old, and
//! the server can make a counter in no other way.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::header::NATS_MESSAGE_ID;
use async_nats::jetstream::context::PublishError;
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use tokio::time::timeout;

use crate::nats::Nats;
use crate::properties::DUPLICATE_WINDOW;
use crate::provision::{ProvisionError, Provisioned};

/// The stream.
pub const LIMITS: &str = "LIMITS";
/// Its subjects: this and more tokens.
const SUBJECTS: &str = "limit.>";
/// Counters are small, and there are a few for each source.
const MAX_BYTES: i64 = 16 * 1024 * 1024;
/// A counter that nobody has added to for so long is of no use to anybody.
const MAX_AGE: Duration = Duration::from_hours(30 * 24);
const INCREMENT: &str = "Nats-Incr";

/// What the broker did with an increment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// It was added, and the counter is this now.
    Total(u128),
    /// One with the same id was added within the last two minutes, and nothing now.
    Repeat,
}

/// Why it is not known whether an increment was added.
#[derive(Debug, thiserror::Error)]
pub enum CountError {
    /// There was no answer.
    #[error("NATS did not answer in time")]
    Late,
    /// It refused, or could not be asked.
    #[error("NATS did not take an increment")]
    Refused(#[source] PublishError),
    /// The answer holds no number.
    #[error("NATS answered with {0:?} where a number was to be")]
    NoNumber(Option<String>),
}

impl Nats {
    /// Adds to the counter `limit.{name}`; at most once in two minutes where it has an id.
    pub async fn add(
        &self,
        name: &str,
        amount: u128,
        id: Option<String>,
        limit: Duration,
    ) -> Result<Added, CountError> {
        let mut headers = HeaderMap::new();
        headers.insert(INCREMENT, format!("+{amount}"));
        if let Some(id) = id {
            headers.insert(NATS_MESSAGE_ID, id);
        }
        let subject = format!("limit.{name}");
        let exchange = async { self.jetstream().publish_with_headers(subject, headers, "".into()).await?.await };
        let answer = timeout(limit, exchange).await.map_err(|_| CountError::Late)?.map_err(CountError::Refused)?;
        if answer.duplicate {
            return Ok(Added::Repeat);
        }
        let total = answer.value.as_deref().and_then(|value| value.parse().ok());
        total.map(Added::Total).ok_or(CountError::NoNumber(answer.value))
    }

    /// Makes the stream, or brings its number of copies up to date.
    pub(crate) async fn provision_counters(
        &self,
        replicas: usize,
        done: &mut Provisioned,
    ) -> Result<(), ProvisionError> {
        let wanted = Config {
            name: LIMITS.to_owned(),
            subjects: vec![SUBJECTS.to_owned()],
            retention: RetentionPolicy::Limits,
            storage: StorageType::File,
            discard: DiscardPolicy::Old,
            max_bytes: MAX_BYTES,
            max_age: MAX_AGE,
            max_messages_per_subject: 1,
            duplicate_window: DUPLICATE_WINDOW,
            num_replicas: replicas,
            allow_message_counter: true,
            ..Config::default()
        };
        match self.stream_info(LIMITS).await {
            Ok(info) if info.config.num_replicas == replicas as u64 => {}
            Ok(_) => {
                let update = self.jetstream().update_stream(wanted).await;
                update.map_err(|source| ProvisionError::UpdateStream { name: LIMITS, source })?;
                done.updated += 1;
            }
            Err(error) if error.is_missing() => {
                let make = self.jetstream().create_stream(wanted).await;
                make.map_err(|source| ProvisionError::MakeStream { name: LIMITS, source })?;
                done.made += 1;
            }
            Err(error) => return Err(ProvisionError::Looking(error)),
        }
        Ok(())
    }
}
