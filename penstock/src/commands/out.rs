//! What a person reads: lines, tables that fit the terminal, times and amounts in few words.
//!
//! Colours only on a terminal; a reader that went away (`| head`) is no error. Control characters in what came from
//! outside are shown, never sent: a message must not be able to write on the operator's terminal.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::Write as _;

use comfy_table::{Cell, Color, ColumnConstraint, ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use owo_colors::{OwoColorize as _, Stream};
use serde::Serialize;

/// One line on standard output.
pub(crate) fn line(text: impl AsRef<str>) {
    writeln!(std::io::stdout(), "{}", text.as_ref()).ok();
}

/// One line beside the answer, on standard error.
pub(crate) fn note(text: impl AsRef<str>) {
    writeln!(std::io::stderr(), "{}", text.as_ref()).ok();
}

/// One value as JSON, indented.
pub(crate) fn json(value: &impl Serialize) {
    // Every type printed here is made of texts and numbers.
    line(serde_json::to_string_pretty(value).unwrap_or_default());
}

/// Narrower than this, a table is no table.
const NARROWEST: u16 = 60;

/// A table that wraps its cells to the terminal's width.
pub(crate) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    // A terminal that does not know its width says 0.
    if table.width().is_some_and(|width| width < NARROWEST) {
        table.set_width(NARROWEST);
    }
    if !header.is_empty() {
        table.set_header(header.iter().map(|name| Cell::new(name.to_uppercase())));
    }
    table
}

/// Keeps a column on one line, so that what is in it can be copied.
pub(crate) fn keep_whole(table: &mut Table, column: usize) {
    if let Some(column) = table.column_mut(column) {
        column.set_constraint(ColumnConstraint::ContentWidth);
    }
}

/// The table's lines, without the spaces at their ends.
pub(crate) fn rendered(table: &Table) -> String {
    table.trim_fmt()
}

/// A cell from outside text.
pub(crate) fn cell(text: impl AsRef<str>) -> Cell {
    Cell::new(shown(text.as_ref()))
}

/// A cell that says whether something is well.
pub(crate) fn mark(text: impl AsRef<str>, good: bool) -> Cell {
    cell(text).fg(if good { Color::Green } else { Color::Red })
}

/// A word that says that something is well.
pub(crate) fn good(text: &str) -> String {
    text.if_supports_color(Stream::Stdout, |text| text.green()).to_string()
}

/// A word that says that something is not.
pub(crate) fn bad(text: &str) -> String {
    text.if_supports_color(Stream::Stdout, |text| text.red()).to_string()
}

/// A word to look at.
pub(crate) fn strong(text: &str) -> String {
    text.if_supports_color(Stream::Stdout, |text| text.bold()).to_string()
}

/// A bar on standard error for what is counted in `what`; hidden where that is no terminal.
pub(crate) fn progress(total: u64, what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(total).with_message(what);
    // The template is a constant and is used by the tests.
    if let Ok(style) = ProgressStyle::with_template(PROGRESS) {
        bar.set_style(style);
    }
    bar
}

const PROGRESS: &str = "{bar:32} {human_pos}/{human_len} {msg}, {per_sec}, {eta} left";

/// Text from outside, with everything escaped that a terminal would act on.
pub(crate) fn shown(text: &str) -> Cow<'_, str> {
    // Beside control characters: the marks that turn the direction of writing, which can make a line read otherwise.
    let acts = |c: char| {
        (c.is_control() && c != '\n' && c != '\t') || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if acts(character) {
            // Writing to a String cannot fail.
            write!(out, "{}", character.escape_default()).unwrap_or_default();
        } else {
            out.push(character);
        }
    }
    Cow::Owned(out)
}

/// A length of time in its two largest units: `350ms`, `4.2s`, `3m 20s`, `2h 5m`, `6d 3h`.
pub(crate) fn age(seconds: f64) -> String {
    let seconds = seconds.max(0.0);
    if seconds < 1.0 {
        return format!("{:.0}ms", seconds * 1000.0);
    }
    if seconds < 60.0 {
        return format!("{seconds:.1}s");
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative; too long saturates")]
    let whole = seconds as u64;
    match whole {
        0..3600 => format!("{}m {}s", whole / 60, whole % 60),
        3600..86_400 => format!("{}h {}m", whole / 3600, whole % 3600 / 60),
        _ => format!("{}d {}h", whole / 86_400, whole % 86_400 / 3600),
    }
}

/// A length of time that somebody set: `8 days`, `10m`.
pub(crate) fn set_time(time: std::time::Duration) -> String {
    const DAY: u64 = 24 * 60 * 60;
    // Beyond a month the library counts in years of 365.25 days.
    if time.subsec_nanos() == 0 && time.as_secs() >= DAY && time.as_secs().is_multiple_of(DAY) {
        let days = time.as_secs() / DAY;
        return format!("{days} {}", if days == 1 { "day" } else { "days" });
    }
    humantime::format_duration(time).to_string().replace("day", " day")
}

/// An amount of bytes: `512 B`, `1.5 MiB`.
pub(crate) fn bytes(amount: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    #[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
    let mut value = amount as f64;
    let mut unit = UNITS[0];
    for next in UNITS.iter().skip(1) {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if unit == "B" { format!("{amount} B") } else { format!("{value:.1} {unit}") }
}

/// A number with its thousands apart: `12,345`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 entry`, `2 entries`.
pub(crate) fn several(number: usize, one: &str, more: &str) -> String {
    format!("{} {}", count(number as u64), if number == 1 { one } else { more })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_from_outside_cannot_write_on_the_terminal() {
        assert_eq!(shown("a\x1b[31mb\r\u{202e}c"), "a\\u{1b}[31mb\\r\\u{202e}c");
        assert_eq!(shown("naïve\tok"), "naïve\tok");
    }

    #[test]
    fn the_progress_bar_can_be_drawn() {
        assert!(ProgressStyle::with_template(PROGRESS).is_ok());
    }

    #[test]
    fn amounts_are_said_in_few_words() {
        assert_eq!([0.35, 4.24, 200.0, 7500.0, 529_200.0].map(age), ["350ms", "4.2s", "3m 20s", "2h 5m", "6d 3h"]);
        assert_eq!(
            [691_200, 86_400, 600].map(|s| set_time(std::time::Duration::from_secs(s))),
            ["8 days", "1 day", "10m"]
        );
        assert_eq!([0, 1023, 1536, 10 * 1024 * 1024].map(bytes), ["0 B", "1023 B", "1.5 KiB", "10.0 MiB"]);
        assert_eq!([1, 123, 1234, 1_234_567].map(count), ["1", "123", "1,234", "1,234,567"]);
        assert_eq!(
            (several(1, "entry", "entries"), several(2000, "row", "rows")),
            ("1 entry".into(), "2,000 rows".into())
        );
    }
}
