//! `[retention]`: how long things are kept once they are processed.
//!
//! Only what is processed ever goes, however old the rest is.

use std::time::Duration;

use super::format::{duration, duration_or_forever};
use super::reader::Reader;

/// How long things are kept once they are processed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// Requests as they came: how far back a replay reaches. 1 h to 400 d, default 7 d.
    pub raw: Duration,
    /// Requests whose signature was wrong. 1 h to 400 d, default 30 d.
    pub held: Duration,
    /// What could not be processed. 7 d to 400 d, default 30 d: an alert stands for 7 before.
    pub dlq: Duration,
    /// Rows, by month. 1 d to 36500 d, default 400 d; `None` is for ever.
    pub messages: Option<Duration>,
}

impl Retention {
    pub(super) fn read(reader: &mut Reader<'_, '_>) -> Self {
        Self {
            raw: reader.or("raw", "7d", &duration("1h", "400d")),
            held: reader.or("held", "30d", &duration("1h", "400d")),
            dlq: reader.or("dlq", "30d", &duration("7d", "400d")),
            messages: reader.or("messages", "400d", &duration_or_forever("1d", "36500d")),
        }
    }
}
