//! Payloads that are too large for a message, in chunks in the stream `BODIES`.
//!
//! The chunks are acknowledged before anybody may publish a message that refers to them. A payload may be there more
//! than once, because every message that refers to it has it put again first; and under one id there may be several,
//! because a later reading of a request can make another record of the same id. So each chunk names its payload's hash,
//! and a reader takes those of the one it was referred to.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{DirectGetErrorKind, RawMessageErrorKind, Stream};
use bytes::{Bytes, BytesMut};
use tokio::time::timeout;
use uuid::Uuid;

use crate::kill_point;
use crate::nats::Nats;
use crate::publish::{Outgoing, Patience, PublishError, headers};
use crate::topology::BODIES;

/// A chunk's number, from 0.
const CHUNK_HEADER: &str = "Penstock-Chunk";
/// The hash of the payload that a chunk is of.
const OF_HEADER: &str = "Penstock-Chunk-Of";
/// More chunks than any provider's largest body has; a reference that claims more is not ours.
const MOST_CHUNKS: u32 = 2048;
/// What memory is set aside for at once, whatever size a reference claims.
const MOST_BYTES: usize = 128 * 1024 * 1024;
/// Longest wait for one chunk.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// What a message says of the payload that it refers to.
#[derive(Clone, Copy, Debug)]
pub struct Payload {
    /// Whose it is: the id of a request or a record.
    pub id: Uuid,
    /// How many chunks it has, at least 1.
    pub chunks: u32,
    /// Its bytes in all.
    pub size: u64,
    /// BLAKE3 of it all. It tells one payload from another here; the caller compares the bytes with it.
    pub hash: blake3::Hash,
}

/// Why a payload could not be put or read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// A chunk is not known to be stored.
    #[error("could not store chunk {chunk} of the body {id}")]
    Put {
        /// Its number.
        chunk: usize,
        /// Whose payload.
        id: Uuid,
        /// Why.
        #[source]
        source: PublishError,
    },
    /// The broker did not answer; it may pass.
    #[error("could not read the body {id}: {reason}")]
    Read {
        /// Whose payload.
        id: Uuid,
        /// What happened.
        reason: String,
    },
    /// The broker says that a chunk is not there.
    #[error("chunk {chunk} of the body {id} is not in BODIES")]
    Missing {
        /// Its number.
        chunk: usize,
        /// Whose payload.
        id: Uuid,
    },
}

impl Nats {
    /// Stores a payload in chunks of `chunk_size` bytes, and waits for all to be stored.
    pub async fn put_body(
        &self,
        payload: Payload,
        bytes: &Bytes,
        chunk_size: usize,
        patience: Patience<'_>,
    ) -> Result<(), BodyError> {
        let Payload { id, hash, .. } = payload;
        let hash = hash.to_hex();
        let make = |chunk: &usize| {
            let (from, to) = ((chunk * chunk_size).min(bytes.len()), ((chunk + 1) * chunk_size).min(bytes.len()));
            // The broker remembers ids over all subjects: another payload of the same id is another message.
            let message_id = format!("{id}:{hash}:{chunk}");
            let pairs = [(CHUNK_HEADER, chunk.to_string()), (OF_HEADER, hash.to_string())];
            let headers = headers(&message_id, pairs)?;
            Some(Outgoing { subject: format!("body.{id}"), headers, payload: bytes.slice(from..to) })
        };
        let numbers: Vec<usize> = (0..bytes.len().div_ceil(chunk_size.max(1)).max(1)).collect();
        for (chunk, result) in self.publish_all(&numbers, make, patience).await.into_iter().enumerate() {
            result.map_err(|source| BodyError::Put { chunk, id, source })?;
        }
        kill_point::reached("body.stored");
        Ok(())
    }

    /// Reads a payload back. The caller compares its hash.
    pub async fn get_body(&self, payload: Payload) -> Result<Bytes, BodyError> {
        let Payload { id, chunks, size, hash } = payload;
        let hash = hash.to_hex();
        if chunks > MOST_CHUNKS {
            return Err(BodyError::Missing { chunk: MOST_CHUNKS as usize, id });
        }
        let bodies = self.jetstream().get_stream_no_info(BODIES).await;
        let bodies = bodies.map_err(|error| BodyError::Read { id, reason: error.to_string() })?;
        let mut body = Assembly::new(usize::try_from(size).unwrap_or(0).min(MOST_BYTES));
        let (chunks, mut from) = (chunks as usize, 1);
        while body.next < chunks {
            let chunk = body.next;
            let message = match timeout(READ_TIMEOUT, next(&bodies, id, from)).await {
                Ok(Ok(Some(message))) => message,
                Ok(Ok(None)) => return Err(BodyError::Missing { chunk, id }),
                Ok(Err(reason)) => return Err(BodyError::Read { id, reason }),
                Err(_) => return Err(BodyError::Read { id, reason: "no answer in time".into() }),
            };
            from = message.sequence + 1;
            let header = |name: &'static str| message.headers.get(name).map(async_nats::HeaderValue::as_str);
            let number = header(CHUNK_HEADER).and_then(|text| text.parse::<usize>().ok());
            if header(OF_HEADER) != Some(&*hash) {
                continue;
            }
            if let Some(number) = number.filter(|number| *number < chunks) {
                body.add(number, message.payload);
            }
        }
        Ok(body.bytes.freeze())
    }
}

/// A payload that is being put together. Chunks come in their order as a rule, so that each is let go of at once; a body
/// is in memory once.
struct Assembly {
    bytes: BytesMut,
    /// The chunk that is missing.
    next: usize,
    /// Chunks that came before their turn.
    early: BTreeMap<usize, Bytes>,
}

impl Assembly {
    fn new(bytes: usize) -> Self {
        Self { bytes: BytesMut::with_capacity(bytes), next: 0, early: BTreeMap::new() }
    }

    /// Adds a chunk; one that is there already is no other.
    fn add(&mut self, number: usize, chunk: Bytes) {
        if number >= self.next {
            self.early.insert(number, chunk);
        }
        while let Some(chunk) = self.early.remove(&self.next) {
            self.bytes.extend_from_slice(&chunk);
            self.next += 1;
        }
    }
}

/// The next chunk under `id` from a sequence on. Any replica may answer, and one that lags behind may not have it yet,
/// so the leader is asked before it is said that there is none.
async fn next(bodies: &Stream<()>, id: Uuid, from: u64) -> Result<Option<StreamMessage>, String> {
    let subject = format!("body.{id}");
    match bodies.direct_get_next_for_subject(subject.clone(), Some(from)).await {
        Ok(message) => return Ok(Some(message)),
        Err(error) if error.kind() == DirectGetErrorKind::NotFound => {}
        Err(error) => return Err(error.to_string()),
    }
    match bodies.get_first_raw_message_by_subject(subject, from).await {
        Ok(message) => Ok(Some(message)),
        Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_put_together_whatever_order_they_come_in() {
        let mut body = Assembly::new(9);
        for (number, chunk) in [(1, "bcd"), (1, "bcd"), (3, "f"), (0, "a"), (0, "a"), (2, "e"), (1, "bcd")] {
            body.add(number, Bytes::from_static(chunk.as_bytes()));
        }
        assert_eq!((&body.bytes[..], body.next, body.early.len()), (&b"abcdef"[..], 4, 0));
    }
}
