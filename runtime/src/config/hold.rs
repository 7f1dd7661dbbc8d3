//! `[hold]`: requests whose signature was wrong, kept for another look.

use super::format::whole;
use super::reader::Reader;

/// How much is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Per source; beyond, a wrong signature is a 401. 1 to 10,000,000, default 10,000.
    pub max_messages: u64,
}

impl Hold {
    pub(super) fn read(reader: &mut Reader<'_, '_>) -> Self {
        Self { max_messages: reader.or("max_messages", "10000", &whole(1..=10_000_000)) }
    }
}
