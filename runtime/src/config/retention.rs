//! `[retention]`: how long things are kept once they are processed.
//!
//! Only what is processed ever goes, however old the rest is. A shorter time for the rows of a channel stands here, one for
//! the rows of a source in the source's own table; both are held to the same two bounds,
//! and that for all rows to the lower of them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::format::{Format, duration, duration_or_forever};
use super::reader::Reader;
use super::source::CHANNELS;

const SHORTER_THAN_RAW: &str = "shorter than `retention.raw`: the request would be there for longer than its rows, and a \
    replay would bring them back; shorten `retention.raw` too, or keep the rows for as long";

/// How long things are kept once they are processed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// Requests as they came: how far back a replay reaches. 1 h to 400 d, default 7 d.
    pub raw: Duration,
    /// Requests whose signature was wrong. 1 h to 400 d, default 30 d.
    pub held: Duration,
    /// What could not be processed. 7 d to 400 d, default 30 d: an alert stands for 7 before.
    pub dlq: Duration,
    /// Rows, by month. 1 d to 36500 d and not below [`Self::raw`], default 400 d; `None` is for ever.
    pub messages: Option<Duration>,
    /// Rows of channels whose rows are kept shorter, by the channel's name. From [`Self::raw`] to [`Self::messages`],
    /// which is without it. A source may have a time of its own.
    pub channels: BTreeMap<&'static str, Duration>,
}

impl Retention {
    pub(super) fn read(reader: &mut Reader<'_, '_>) -> Self {
        let mut retention = Self {
            raw: reader.or("raw", "7d", &duration("1h", "400d")),
            held: reader.or("held", "30d", &duration("1h", "400d")),
            dlq: reader.or("dlq", "30d", &duration("7d", "400d")),
            messages: reader.or("messages", "400d", &duration_or_forever("1d", "36500d")),
            channels: BTreeMap::new(),
        };
        if retention.messages.is_some_and(|all| all < retention.raw) {
            reader.problem("messages", SHORTER_THAN_RAW);
        }
        retention.channels = reader.table("channels", |reader| {
            let mut channels = BTreeMap::new();
            for channel in CHANNELS {
                let time = reader.left_open(channel, "retention.messages", &shorter());
                if let Some(wrong) = time.and_then(|time| retention.objection(time)) {
                    reader.problem(channel, wrong);
                }
                channels.extend(time.map(|time| (channel, time)));
            }
            channels
        });
        retention
    }

    /// What is wrong with a time of its own for the rows of some, if anything is.
    fn objection(&self, time: Duration) -> Option<&'static str> {
        if time < self.raw {
            return Some(SHORTER_THAN_RAW);
        }
        self.messages.is_some_and(|all| time >= all).then_some(
            "not shorter than `retention.messages`, after which all rows go: it would never act; leave it out, or \
             shorten it",
        )
    }

    /// The same for a source. One whose channel has a shorter time may have that of all rows.
    pub(super) fn objection_of_source(&self, channel: &str, time: Duration) -> Option<&'static str> {
        let as_others = self.channels.contains_key(channel) && self.messages == Some(time);
        self.objection(time).filter(|_| !as_others)
    }
}

/// A time for the rows of some.
pub(super) fn shorter() -> Format<Duration> {
    duration("1h", "36500d")
}
