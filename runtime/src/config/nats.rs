//! `[nats]`: the broker.

use super::format::whole;
use super::reader::Reader;
use super::requirements::Need;
use super::secret::Secret;

/// Where the broker is and how safely it keeps what it stores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nats {
    /// One URL, or several of one cluster with commas between. Required, unless the process can do
    /// without.
    pub url: Option<Secret>,
    /// Copies of each stream. 1 to 5, default 1.
    pub replicas: usize,
}

impl Nats {
    pub(super) fn read(reader: &mut Reader<'_, '_>, need: Need) -> Self {
        Self {
            url: reader.secret_url("url", need, &["nats://", "tls://", "ws://", "wss://"]),
            replicas: reader.or("replicas", "1", &whole(1..=5)),
        }
    }
}
