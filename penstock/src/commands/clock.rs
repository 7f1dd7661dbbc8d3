//! Times as people write and read them. Inside, a time is milliseconds since 1970.

use proto::Millis;

pub(crate) use runtime::clock::now_millis as now;

/// A time in RFC 3339.
pub(crate) fn text(millis: i64) -> String {
    Millis::from_unix(millis).map_or_else(|| format!("{millis} ms after 1970"), |time| time.to_string())
}

/// The time in a `UUIDv7`; `None` for any other id.
pub(crate) fn of_id(id: uuid::Uuid) -> Option<i64> {
    if id.get_version_num() != 7 {
        return None;
    }
    i64::try_from(id.as_u128() >> 80).ok()
}

/// A moment that a person named: RFC 3339, a date, or a length of time before now (`2h`, `90m`, `3d`).
pub(crate) fn parse(text: &str, now: i64) -> Result<i64, String> {
    let written = [text.to_owned(), format!("{text}T00:00:00Z")];
    if let Some(time) = written.iter().find_map(|text| text.parse::<Millis>().ok()) {
        return Ok(time.as_unix());
    }
    let ago = humantime::parse_duration(text).ok().and_then(|ago| i64::try_from(ago.as_millis()).ok());
    ago.and_then(|ago| now.checked_sub(ago)).ok_or_else(|| {
        format!("{text:?} is no time: 2026-11-23T05:53:29Z, 2026-11-23, or how long ago (2h, 90m, 3d) is")
    })
}

/// How long ago, in words: `3m 20s ago`.
pub(crate) fn ago(time: i64, now: i64) -> String {
    if time > now {
        return "in the future".to_owned();
    }
    format!("{} ago", super::out::age(seconds_between(time, now)))
}

/// Seconds from one moment to a later one.
pub(crate) fn seconds_between(from: i64, to: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of years fit")]
    let millis = to.saturating_sub(from) as f64;
    millis / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_may_be_written_in_three_ways() {
        let now = parse("2026-11-23T12:00:00Z", 0).unwrap();
        let read = |written: &str| parse(written, now).map(text);
        assert_eq!(read("2026-11-23T05:53:29+01:00").unwrap(), "2026-11-23T04:53:29.000Z");
        assert_eq!(read("2026-11-22").unwrap(), "2026-11-22T00:00:00.000Z");
        assert_eq!(read("2h").unwrap(), "2026-11-23T10:00:00.000Z");
        assert!(read("yesterday").unwrap_err().contains("2h"));
    }

    #[test]
    fn an_id_tells_its_time() {
        let time: Millis = "2026-11-23T05:33:29.120Z".parse().unwrap();
        assert_eq!(of_id(proto::id::request_id(time, [7; 10])), Some(time.as_unix()));
        assert_eq!(of_id(uuid::Uuid::new_v4()), None);
    }

    #[test]
    fn the_past_is_told_in_words() {
        assert_eq!(ago(1_000, 201_000), "3m 20s ago");
        assert_eq!(ago(2_000, 1_000), "in the future");
    }
}
