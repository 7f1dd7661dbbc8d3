//! A moment, in whole milliseconds since 1970, as every stage writes and reads it.
//!
//! Finer parts are cut, never rounded: `received_at` is part of a record's id, so two stages that disagree about a
//! digit would disagree about the id.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Milliseconds since the Unix epoch, within the years 1 to 9999. Written as RFC 3339 in UTC with three digits:
/// `2026-11-23T05:53:29.123Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(i64);

/// A text that is not an RFC 3339 time, or a number outside the years 1 to 9999.
#[derive(Debug, thiserror::Error)]
#[error("not an RFC 3339 time between the years 1 and 9999: {0:?}")]
pub struct NotATime(String);

/// 0001-01-01T00:00:00.000Z.
const FIRST: i64 = -62_135_596_800_000;
/// 9999-12-31T23:59:59.999Z.
const LAST: i64 = 253_402_300_799_999;

impl Millis {
    /// The start of 1970.
    pub const EPOCH: Self = Self(0);

    /// The moment `millis` milliseconds after 1970, if RFC 3339 can write it.
    pub fn from_unix(millis: i64) -> Option<Self> {
        (FIRST..=LAST).contains(&millis).then_some(Self(millis))
    }

    /// Milliseconds since 1970.
    pub fn as_unix(self) -> i64 {
        self.0
    }

    /// The distance to another moment, in milliseconds, whichever is earlier.
    pub fn distance(self, other: Self) -> u64 {
        self.0.abs_diff(other.0)
    }

    /// The same moment for a database driver.
    pub fn to_datetime(self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.0).unwrap_or(DateTime::UNIX_EPOCH)
    }

    /// The month in UTC, as year and month from 1 to 12: what tables and attachments are kept by.
    pub fn month(self) -> (i32, u32) {
        use chrono::Datelike as _;
        let date = self.to_datetime();
        (date.year(), date.month())
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_datetime().to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

impl FromStr for Millis {
    type Err = NotATime;

    fn from_str(text: &str) -> Result<Self, NotATime> {
        let parsed = DateTime::parse_from_rfc3339(text).map_err(|_| NotATime(text.to_owned()))?;
        Self::from_unix(parsed.timestamp_millis()).ok_or_else(|| NotATime(text.to_owned()))
    }
}

impl Serialize for Millis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Millis {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_with_three_digits_and_read_back() {
        let time = Millis::from_unix(1_795_412_009_120).unwrap();
        assert_eq!(time.to_string(), "2026-11-23T05:33:29.120Z");
        assert_eq!(time.to_string().parse::<Millis>().unwrap(), time);
    }

    #[test]
    fn finer_parts_are_cut_not_rounded() {
        let time: Millis = "2026-11-23T05:33:29.9999Z".parse().unwrap();
        assert_eq!(time.to_string(), "2026-11-23T05:33:29.999Z");
    }

    #[test]
    fn another_zone_is_the_same_moment() {
        let there: Millis = "2026-11-23T07:33:29+02:00".parse().unwrap();
        assert_eq!(there.to_string(), "2026-11-23T05:33:29.000Z");
    }

    #[test]
    fn what_rfc_3339_cannot_write_is_refused() {
        assert!(Millis::from_unix(i64::MAX).is_none());
        assert!("yesterday".parse::<Millis>().is_err());
    }
}
