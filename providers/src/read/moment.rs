//! A time in a payload: RFC 3339, or what providers make of it. Without a zone it is UTC.

use proto::Millis;

/// Reads `2026-07-31T11:58:03.000Z`, `2026-07-31 11:58:03` and `2026-07-31T11:58:03 00:00`, the last being what a form
/// makes of a `+` that was not escaped.
pub(crate) fn read(text: &str) -> Option<Millis> {
    let text = text.trim();
    let (date, time) = (text.get(..10)?, text.get(11..)?);
    if !text.get(10..11)?.eq_ignore_ascii_case("t") && text.get(10..11)? != " " {
        return None;
    }
    let time = match time.split_once(' ') {
        Some((clock, zone)) => format!("{clock}+{zone}"),
        None if time.contains(['Z', 'z', '+', '-']) => time.to_owned(),
        None => format!("{time}Z"),
    };
    format!("{date}T{time}").parse().ok()
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
            " 2026-07-31t11:58:03z ",
            "2026-07-31T13:58:03.000+02:00",
        ];
        for text in written {
            assert_eq!(read(text).unwrap().to_string(), "2026-07-31T11:58:03.000Z", "{text}");
        }
        for text in ["", "2026-07-31", "2026-07-31x11:58:03", "2026-07-31 11:58", "2026-07-3é 11:58:03", "1785499083"]
        {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
