//! `[streams]`: how much each stream may hold.
//!
//! A full stream refuses what is new, so a stage makes those before it wait; nothing is dropped.

use super::format::size;
use super::reader::Reader;

/// The byte limit of each stream. 1 MiB to 1 PiB each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Streams {
    /// Requests as they came. Default 10 GiB.
    pub raw: u64,
    /// Bodies over the inline limit. Default 10 GiB.
    pub bodies: u64,
    /// Requests whose signature was wrong. Default 1 GiB.
    pub held: u64,
    /// Requests on their way through once more. Default 2 GiB.
    pub replay: u64,
    /// Canonical messages. Default 2 GiB.
    pub canonical: u64,
    /// Claimed messages. Default 10 GiB.
    pub unique: u64,
    /// Likely repeats. Default 2 GiB.
    pub duplicates: u64,
    /// What can never succeed. Default 1 GiB.
    pub dlq: u64,
}

impl Streams {
    pub(super) fn read(reader: &mut Reader<'_, '_>) -> Self {
        let limit = size("1 MiB", "1 PiB");
        Self {
            raw: reader.or("raw", "10 GiB", &limit),
            bodies: reader.or("bodies", "10 GiB", &limit),
            held: reader.or("held", "1 GiB", &limit),
            replay: reader.or("replay", "2 GiB", &limit),
            canonical: reader.or("canonical", "2 GiB", &limit),
            unique: reader.or("unique", "10 GiB", &limit),
            duplicates: reader.or("duplicates", "2 GiB", &limit),
            dlq: reader.or("dlq", "1 GiB", &limit),
        }
    }
}
