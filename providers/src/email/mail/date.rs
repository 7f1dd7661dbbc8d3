//! `Date`, as mailers write it. `mail-parser` wants seconds and makes times of what is none (`2:15 PM`, `12.15.05`),
//! so this reads the words itself, and gives nothing where it is not sure: a wrong time is worse than none.

use proto::Millis;

/// RFC 5322 with its obsolete forms (two-digit years, names of zones, no seconds, comments anywhere), what `ctime`
/// writes, and RFC 3339.
pub(super) fn read(value: &str) -> Option<Millis> {
    if let Some(moment) = crate::read::moment::read(value) {
        return Some(moment);
    }
    let bare = without_comments(value);
    let mut words = bare.split([' ', '\t', ',', '-', '(', ')']).filter(|word| !word.is_empty());
    // The `-` of a zone is needed again, so the zone is read from the text after the time.
    let (mut numbers, mut month, mut clock) = (Vec::new(), None, None);
    for word in words.by_ref().take(8) {
        if word.contains(':') {
            clock.get_or_insert(word);
        } else if let Some(number) = month_of(word) {
            month.get_or_insert(number);
        } else if clock.is_none() || numbers.len() < 2 {
            // After the time, four digits are a year or a zone whose `-` was taken for a hyphen.
            let fits =
                |number: &i64| (1..=4).contains(&word.len()) && (clock.is_none() || word.len() < 4 || *number >= 1900);
            numbers.extend(word.parse::<i64>().ok().filter(fits));
        }
    }
    let (day, year) = match numbers.as_slice() {
        [day, year, ..] => (*day, *year),
        _ => return None,
    };
    let (hour, minute, second) = time(clock?)?;
    let zone = zone(bare.split_once(clock?)?.1, year)?;
    moment(full_year(year)?, month?, day, hour, minute, second, zone)
}

/// The text without what stands in parentheses, which may be nested.
fn without_comments(value: &str) -> String {
    let mut depth = 0_usize;
    let mut out = String::with_capacity(value.len().min(128));
    for character in value.chars().take(256) {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ if depth == 0 => out.push(character),
            _ => {}
        }
    }
    out
}

fn month_of(word: &str) -> Option<i64> {
    const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let start = word.get(..3)?.to_ascii_lowercase();
    (1..).zip(MONTHS).find(|(_, month)| *month == start).map(|(number, _)| number)
}

fn time(clock: &str) -> Option<(i64, i64, i64)> {
    let mut parts = clock.splitn(3, ':');
    let mut next = || parts.next().map(|part| part.split('.').next().unwrap_or_default());
    let number = |part: &str| part.parse::<u8>().ok().filter(|_| part.len() <= 2).map(i64::from);
    let (hour, minute) = (number(next()?)?, number(next()?)?);
    let second = next().map_or(Some(0), number)?;
    // A leap second is the last of its minute here.
    (hour < 24 && minute < 60 && second <= 60).then_some((hour, minute, second.min(59)))
}

/// RFC 5322, section 4.3: 00 to 49 are of this century, three digits count from 1900.
fn full_year(year: i64) -> Option<i64> {
    match year {
        0..=49 => Some(year + 2000),
        50..=999 => Some(year + 1900),
        1900..=9999 => Some(year),
        _ => None,
    }
}

/// Minutes east of Greenwich, from what follows the time. No zone, one that nobody knows, and `-0000` are UTC.
fn zone(rest: &str, year: i64) -> Option<i64> {
    let word = rest.split([' ', '\t', ',']).find(|word| !word.is_empty() && word.parse() != Ok(year)).unwrap_or("UTC");
    if matches!(word.to_ascii_uppercase().as_str(), "AM" | "PM") {
        return None;
    }
    let named = [
        ("EST", -5),
        ("EDT", -4),
        ("CST", -6),
        ("CDT", -5),
        ("MST", -7),
        ("MDT", -6),
        ("PST", -8),
        ("PDT", -7),
        ("CET", 1),
        ("CEST", 2),
        ("EET", 2),
        ("EEST", 3),
        ("BST", 1),
        ("JST", 9),
    ];
    if let Some((_, hours)) = named.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)) {
        return Some(hours * 60);
    }
    let offset = word.trim_start_matches(|character: char| character.is_ascii_alphabetic());
    let (sign, digits) = match (offset.strip_prefix('+'), offset.strip_prefix('-')) {
        (Some(digits), _) => (1, digits),
        (_, Some(digits)) => (-1, digits),
        _ => return Some(0),
    };
    let digits = digits.replace(':', "");
    let number: i64 = digits.parse().ok()?;
    let minutes = if digits.len() <= 2 { number * 60 } else { number / 100 * 60 + number % 100 };
    (minutes < 24 * 60).then_some(sign * minutes)
}

fn moment(year: i64, month: i64, day: i64, hour: i64, minute: i64, second: i64, zone: i64) -> Option<Millis> {
    // That a day is one of its month is known where RFC 3339 is read.
    let local: Millis = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z").parse().ok()?;
    Millis::from_unix(local.as_unix() - zone * 60_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_read_as_mailers_write_it() {
        let written = [
            ("Fri, 31 Jul 26 08:15 EST", "2026-07-31T13:15:00.000Z"),
            ("31 Jul 2026 14:15:05 +0200 (CEST)", "2026-07-31T12:15:05.000Z"),
            ("Fri, 31 Jul 2026 12:15:05 -0000", "2026-07-31T12:15:05.000Z"),
            ("Fri,31 July 126 12:15:05 UT", "2026-07-31T12:15:05.000Z"),
            ("Fri, 31-Jul-1999 12:15:05 GMT", "1999-07-31T12:15:05.000Z"),
            ("Sat, 31 Jul 99 12:15:05 Z", "1999-07-31T12:15:05.000Z"),
            ("Fri Jul 31 12:15:05 2026", "2026-07-31T12:15:05.000Z"),
            ("Fri Jul 31 14:15:05 2026 +0200", "2026-07-31T12:15:05.000Z"),
            ("Fri Jul 31 14:15:05 -0400 2026", "2026-07-31T18:15:05.000Z"),
            ("Fri, 31 (a (b)) Jul 2026 (c) 12:15:60 +0530", "2026-07-31T06:45:59.000Z"),
            ("31 Jul 2026 05:15:05 GMT-07:00", "2026-07-31T12:15:05.000Z"),
            ("31 Jul 2026 12:15:05 XYZ", "2026-07-31T12:15:05.000Z"),
            ("2026-07-31T14:15:05+02:00", "2026-07-31T12:15:05.000Z"),
            ("1 Jan 2026 00:30:00 +0100", "2025-12-31T23:30:00.000Z"),
        ];
        for (text, expected) in written {
            assert_eq!(read(text).map(|moment| moment.to_string()).as_deref(), Some(expected), "{text}");
        }
        for text in [
            "",
            "garbage",
            "31 Jul 2026",
            "30 Feb 2026 12:00:00 +0000",
            "31 Jul 2026 2:15:05 PM +0200",
            "31 Jul 2026 12:15:05 +9999",
            "99 Jul 2026 12:15:05 Z",
            "31 Foo 2026 12:15:05 Z",
            "31 Jul 2026 25:00 Z",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
