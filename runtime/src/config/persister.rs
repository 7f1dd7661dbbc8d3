//! `[persister]`: messages to rows.

use std::net::SocketAddr;
use std::time::Duration;

use super::format::{address, duration, one_of, whole};
use super::reader::Reader;

/// Settings of the persister.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Persister {
    /// Where health and metrics are served. Default `127.0.0.1:9104`.
    pub admin: SocketAddr,
    /// Threads that work. 1 to 256, default 1.
    pub threads: usize,
    /// Rows of one statement. 1 to 10,000, default 500.
    pub batch: usize,
    /// How long more is waited for where the first record had to be waited for. 0 ms to 1 s, default 5 ms.
    pub linger: Duration,
    /// Statements at once. 1 to 32, default 1: while one is written the next batch grows.
    pub writers: usize,
    /// Whether this process audits. `on` or `off`, default `on`.
    pub audit: bool,
}

const AUDIT: &[(&str, bool)] = &[("on", true), ("off", false)];

impl Persister {
    pub(super) fn read(reader: &mut Reader<'_, '_>) -> Self {
        Self {
            admin: reader.or("admin", "127.0.0.1:9104", &address()),
            threads: reader.or("threads", "1", &whole(1..=256)),
            batch: reader.or("batch", "500", &whole(1..=10_000)),
            linger: reader.or("linger", "5ms", &duration("0ms", "1s")),
            writers: reader.or("writers", "1", &whole(1..=32)),
            audit: reader.or("audit", "on", &one_of(AUDIT)),
        }
    }
}
