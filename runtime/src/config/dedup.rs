//! `[dedup]`: which messages are repeats, and for how long.

use std::net::SocketAddr;
use std::time::Duration;

use super::format::{address, duration, whole};
use super::reader::Reader;
use super::requirements::Need;
use super::secret::Secret;

/// Settings of the dedup worker, and of the keys that every stage goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dedup {
    /// Where health and metrics are served. Default `127.0.0.1:9103`.
    pub admin: SocketAddr,
    /// Threads that work. 1 to 256, default 1.
    pub threads: usize,
    /// Messages taken at once. 1 to 10,000, default 512.
    pub batch: usize,
    /// Batches in hand at once. 1 to 64, default 1: with one, records keep their order, so that a replay makes the
    /// same one of several copies a row again.
    pub workers: usize,
    /// How long a provider's own id makes a repeat. 1 s to 400 d, default 8 d: the longest retry of
    /// a provider and a day.
    pub window: Duration,
    /// How long equal content makes a repeat, which is a guess. 1 s to 400 d, default 10 min.
    pub content_window: Duration,
    /// How long a claim stays in the broker. 1 s to 30 d, default 24 h.
    pub claims: Duration,
    /// Claims per shard. 1 to 100,000,000, default 5,000,000: about 3 GB of the broker's memory.
    pub max_claims: u64,
    /// What keys are hashed with; another one makes every message a new one. Required, unless the
    /// process can do without.
    pub hash_key: Option<Secret>,
}

impl Dedup {
    pub(super) fn read(reader: &mut Reader<'_, '_>, need: Need) -> Self {
        Self {
            admin: reader.or("admin", "127.0.0.1:9103", &address()),
            threads: reader.or("threads", "1", &whole(1..=256)),
            batch: reader.or("batch", "512", &whole(1..=10_000)),
            workers: reader.or("workers", "1", &whole(1..=64)),
            window: reader.or("window", "8d", &duration("1s", "400d")),
            content_window: reader.or("content_window", "10m", &duration("1s", "400d")),
            claims: reader.or("claims", "24h", &duration("1s", "30d")),
            max_claims: reader.or("max_claims", "5000000", &whole(1..=100_000_000)),
            hash_key: reader.secret("hash_key", need),
        }
    }
}
