//! `[normalizer]`: raw requests to canonical messages.

use std::net::SocketAddr;

use super::format::{address, whole};
use super::reader::Reader;

/// Settings of the normalizer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Normalizer {
    /// Where health and metrics are served. Default `127.0.0.1:9102`.
    pub admin: SocketAddr,
    /// Threads that work. 1 to 256, default 1.
    pub threads: usize,
    /// Messages taken at once. 1 to 10,000, default 256.
    pub batch: usize,
    /// Batches in hand at once. 1 to 64, default 2.
    pub workers: usize,
}

impl Normalizer {
    pub(super) fn read(reader: &mut Reader<'_, '_>) -> Self {
        Self {
            admin: reader.or("admin", "127.0.0.1:9102", &address()),
            threads: reader.or("threads", "1", &whole(1..=256)),
            batch: reader.or("batch", "256", &whole(1..=10_000)),
            workers: reader.or("workers", "2", &whole(1..=64)),
        }
    }
}
