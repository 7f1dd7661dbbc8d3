//! Payloads that are too large for a message, in chunks in the stream `BODIES`.
//!
//! The chunks are acknowledged before anybody may publish a message that refers to them. A payload may be there more
//! than once, because every message that refers to it has it put again first; chunks are told apart by their number,
//! and any copy of one is as good as another.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::timeout;

use crate::nats::Nats;
use crate::publish::{Outgoing, PublishError, headers};
use crate::topology::BODIES;

/// A chunk's number, from 0.
const CHUNK_HEADER: &str = "Penstock-Chunk";
/// More chunks than any provider's largest body has; a reference that claims more is not ours.
const MOST_CHUNKS: u32 = 2048;
/// Longest wait for one chunk.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a payload could not be put or read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// A chunk is not known to be stored.
    #[error("could not store chunk {chunk} of the body {id}")]
    Put {
        /// Its number.
        chunk: usize,
        /// Whose payload.
        id: String,
        /// Why.
        #[source]
        source: PublishError,
    },
    /// The broker did not answer; it may pass.
    #[error("could not read the body {id}: {reason}")]
    Read {
        /// Whose payload.
        id: String,
        /// What happened.
        reason: String,
    },
    /// The broker says that a chunk is not there.
    #[error("chunk {chunk} of the body {id} is not in BODIES")]
    Missing {
        /// Its number.
        chunk: usize,
        /// Whose payload.
        id: String,
    },
}

impl Nats {
    /// Stores a payload under `body.{id}` in chunks of `chunk_size` bytes, pipelined, and waits for all to be stored.
    pub async fn put_body(
        &self,
        id: &str,
        payload: &Bytes,
        chunk_size: usize,
        limit: Duration,
    ) -> Result<(), BodyError> {
        let chunks = payload.len().div_ceil(chunk_size.max(1)).max(1);
        let mut messages = Vec::with_capacity(chunks);
        for chunk in 0..chunks {
            let number = chunk.to_string();
            let part =
                payload.slice((chunk * chunk_size).min(payload.len())..((chunk + 1) * chunk_size).min(payload.len()));
            let message_id = format!("{id}:{chunk}");
            let headers = headers(&message_id, [(CHUNK_HEADER, number.as_str())]).ok_or_else(|| BodyError::Put {
                chunk,
                id: id.to_owned(),
                source: PublishError::Unacceptable("its id cannot be a header".into()),
            })?;
            messages.push(Outgoing { subject: format!("body.{id}"), headers, payload: part });
        }
        for (chunk, result) in self.publish_all(messages, limit).await.into_iter().enumerate() {
            result.map_err(|source| BodyError::Put { chunk, id: id.to_owned(), source })?;
        }
        Ok(())
    }

    /// Reads a payload of `chunks` chunks back. The caller compares its hash.
    pub async fn get_body(&self, id: &str, chunks: u32, size: u64) -> Result<Bytes, BodyError> {
        let unreadable = |reason: String| BodyError::Read { id: id.to_owned(), reason };
        if chunks > MOST_CHUNKS {
            return Err(BodyError::Missing { chunk: MOST_CHUNKS as usize, id: id.to_owned() });
        }
        let bodies =
            self.jetstream().get_stream_no_info(BODIES).await.map_err(|error| unreadable(error.to_string()))?;
        let mut found: Vec<Option<Bytes>> = vec![None; chunks as usize];
        let mut from = 1;
        while found.iter().any(Option::is_none) {
            let get = bodies.direct_get_next_for_subject(format!("body.{id}"), Some(from));
            let message = match timeout(READ_TIMEOUT, get).await {
                Ok(Ok(message)) => message,
                Ok(Err(error)) if is_not_found(&error) => {
                    let chunk = found.iter().position(Option::is_none).unwrap_or(0);
                    return Err(BodyError::Missing { chunk, id: id.to_owned() });
                }
                Ok(Err(error)) => return Err(unreadable(error.to_string())),
                Err(_) => return Err(unreadable("no answer in time".into())),
            };
            let number = message.headers.get(CHUNK_HEADER).and_then(|value| value.as_str().parse::<usize>().ok());
            if let Some(place) = number.and_then(|number| found.get_mut(number)) {
                *place = Some(message.payload);
            }
            from = message.sequence + 1;
        }
        let mut body = BytesMut::with_capacity(usize::try_from(size).unwrap_or(0));
        found.into_iter().flatten().for_each(|chunk| body.extend_from_slice(&chunk));
        Ok(body.freeze())
    }
}

fn is_not_found(error: &async_nats::jetstream::stream::DirectGetError) -> bool {
    error.kind() == async_nats::jetstream::stream::DirectGetErrorKind::NotFound
}
