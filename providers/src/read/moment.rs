//! A time in a payload: RFC 3339, or what providers make of it. Without a zone it is UTC.

use proto::Millis;

/// Reads `2026-07-31T11:58:03.000Z`, `2026-07-31 11:58:03 +0000` and `2026-07-31T11:58:03 00:00`, the last being what a
/// form makes of a `+` that was not escaped.
pub(crate) fn read(text: &str) -> Option<Millis> {
    let text = text.trim();
    let (date, time) = (text.get(..10)?, text.get(11..)?);
    if !text.get(10..11)?.eq_ignore_ascii_case("t") && text.get(10..11)? != " " {
        return None;
    }
    let is_clock = |character: char| character.is_ascii_digit() || matches!(character, ':' | '.');
    let (clock, zone) = time.split_at(time.find(|character| !is_clock(character)).unwrap_or(time.len()));
    format!("{date}T{clock}{}", offset(zone.trim())?).parse().ok()
}

/// A zone as RFC 3339 has it: `+01:00` for `+01:00`, `+0100`, `+01` and `01:00`.
fn offset(zone: &str) -> Option<String> {
    if ["", "Z", "UTC", "GMT"].iter().any(|utc| zone.eq_ignore_ascii_case(utc)) {
        return Some("Z".to_owned());
    }
    let (sign, rest) = match zone.strip_prefix('-') {
        Some(rest) => ('-', rest),
        None => ('+', zone.strip_prefix('+').unwrap_or(zone)),
    };
    let hours = rest.get(..2)?;
    let minutes = rest.get(2..).filter(|minutes| !minutes.is_empty()).unwrap_or("00");
    Some(format!("{sign}{hours}:{}", minutes.strip_prefix(':').unwrap_or(minutes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_as_providers_write_it() {
        let written = [
            "2026-07-31T11:58:03+00:00",
            "2026-07-31T11:58:03 00:00",
            "2026-07-31 11:58:03",
            "2026-07-31 11:58:03 +0000",
            "2026-07-31 11:58:03  0000",
            "2026-07-31 11:58:03 UTC",
            "2026-07-31T13:58:03+0200",
            "2026-07-31 06:28:03.000 -05:30",
            " 2026-07-31t11:58:03z ",
            "2026-07-31T13:58:03.000+02:00",
        ];
        for text in written {
            assert_eq!(read(text).unwrap().to_string(), "2026-07-31T11:58:03.000Z", "{text}");
        }
        for text in [
            "",
            "2026-07-31",
            "2026-07-31x11:58:03",
            "2026-07-31 11:58",
            "2026-07-3é 11:58:03",
            "1785499083",
            "2026-07-31 11:58:03 CET",
            "2026-07-31 11:58:03 +",
            "2026-07-31 11:58:03 +0",
            "2026-07-31 11:58:03 +é0",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
