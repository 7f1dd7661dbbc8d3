//! `[nats]`: the broker.

use super::format::{one_of, whole};
use super::reader::Reader;
use super::requirements::Need;
use super::secret::Secret;

/// Where the broker is and how safely it keeps what it stores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nats {
    /// One URL, or several of one cluster with commas between; where one begins with `tls://`, all are spoken to by TLS.
    /// Required, unless the process can do without.
    pub url: Option<Secret>,
    /// Copies of each stream. 1 to 5, default 1.
    pub replicas: usize,
    /// Whether the gateway and the normalizer store what goes together as one atomic batch. Default off.
    pub group_commit: bool,
}

const GROUP_COMMIT: &[(&str, bool)] = &[("on", true), ("off", false)];

impl Nats {
    pub(super) fn read(reader: &mut Reader<'_, '_>, need: Need) -> Self {
        Self {
            url: reader.secret_url("url", need, &["nats://", "tls://"]),
            replicas: reader.or("replicas", "1", &whole(1..=5)),
            group_commit: reader.or("group_commit", "off", &one_of(GROUP_COMMIT)),
        }
    }
}
