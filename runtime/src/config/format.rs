//! The ways a value can be written: what each is called, what it allows, and how it is read.
//!
//! Bounds and defaults are written as a user would write them (`"8d"`, `"1 MiB"`), so the
//! documentation, the messages and the check cannot differ.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use bytesize::ByteSize;
use http::HeaderName;
use ipnet::IpNet;
use toml::Spanned;
use toml::de::DeValue;
use tracing_subscriber::EnvFilter;

use super::public_url::PublicUrl;

/// Longest piece of a wrong value that a message repeats, in characters.
const SHOWN: usize = 60;

/// A value as somebody wrote it.
#[derive(Clone, Copy)]
pub(super) struct Given<'a> {
    pub(super) value: &'a DeValue<'a>,
    /// The bare text, where it was not written in TOML but in a variable or as a default.
    pub(super) raw: Option<&'a str>,
    /// The variable it comes from.
    pub(super) variable: Option<&'a str>,
    /// Its first byte in the file.
    pub(super) at: Option<usize>,
}

impl<'a> Given<'a> {
    /// The text of a string, or of anything that was not written in TOML: `KEY=123` may be meant as
    /// a text.
    fn text(&self) -> Option<&'a str> {
        self.value.as_str().or(self.raw)
    }

    /// A value inside of this one.
    pub(super) fn inside(&self, value: &'a Spanned<DeValue<'a>>) -> Self {
        let at = Some(value.span().start);
        Self { value: value.get_ref(), raw: None, variable: self.variable, at }
    }

    fn whole(&self) -> Option<u64> {
        let number = self.value.as_integer()?;
        u64::from_str_radix(number.as_str(), number.radix()).ok()
    }

    /// What to show of it in a message. A text with an `@` may be a URL with a password in it.
    pub(super) fn found(&self) -> String {
        let text = match self.value {
            DeValue::String(text) if text.contains('@') => "a text with an @, not shown".to_owned(),
            DeValue::String(text) => format!("{text:?}"),
            DeValue::Integer(number) => number.to_string(),
            DeValue::Float(number) => number.to_string(),
            DeValue::Boolean(yes) => yes.to_string(),
            other => format!("a TOML {}", other.type_str()),
        };
        match text.char_indices().nth(SHOWN) {
            Some((end, _)) => format!("{}..", text.get(..end).unwrap_or_default()),
            None => text,
        }
    }
}

/// Reads one kind of value.
pub(super) struct Format<T> {
    /// Type, for the documentation.
    pub(super) kind: &'static str,
    /// What is allowed, for the documentation.
    pub(super) range: String,
    /// What is allowed, in words that fit "expected ..".
    pub(super) expected: String,
    read: Box<Read<T>>,
}

type Read<T> = dyn Fn(&Given<'_>) -> Option<T>;

impl<T> Format<T> {
    fn new(
        kind: &'static str,
        range: impl Into<String>,
        expected: impl Into<String>,
        read: impl Fn(&Given<'_>) -> Option<T> + 'static,
    ) -> Self {
        Self { kind, range: range.into(), expected: expected.into(), read: Box::new(read) }
    }

    pub(super) fn read(&self, given: &Given<'_>) -> Option<T> {
        (self.read)(given)
    }
}

/// What is written in this crate's own code is well-formed.
#[expect(clippy::expect_used, reason = "each is read by every parse, so by the first test")]
pub(super) fn literal<T>(value: Option<T>) -> T {
    value.expect("a bound or a default in this module is malformed")
}

/// A whole number in a range.
pub(super) fn whole<T: TryFrom<u64>>(range: RangeInclusive<u64>) -> Format<T> {
    let shown = format!("{} to {}", range.start(), range.end());
    Format::new("whole number", &*shown, format!("a whole number from {shown}"), move |given| {
        given.whole().filter(|number| range.contains(number)).and_then(|number| number.try_into().ok())
    })
}

/// A time such as `"8d"`, from `least` to `most`.
pub(super) fn duration(least: &'static str, most: &'static str) -> Format<Duration> {
    let parse = |text: &str| humantime::parse_duration(text).ok();
    let range = literal(parse(least))..=literal(parse(most));
    let expected = format!(r#"a duration from {least} to {most} (such as "90s", "10m", "8d")"#);
    Format::new("duration", format!("{least} to {most}"), expected, move |given| {
        parse(given.text()?).filter(|time| range.contains(time))
    })
}

/// A number of bytes such as `"64 MiB"`, from `least` to `most`.
pub(super) fn size(least: &'static str, most: &'static str) -> Format<u64> {
    let parse = |text: &str| text.parse().ok().map(|ByteSize(bytes)| bytes);
    let range = literal(parse(least))..=literal(parse(most));
    let expected = format!(r#"a size from {least} to {most} (such as "64 MiB")"#);
    Format::new("size", format!("{least} to {most}"), expected, move |given| {
        let bytes = given.whole().or_else(|| parse(given.text()?))?;
        range.contains(&bytes).then_some(bytes)
    })
}

/// How long rows are kept; `None` is for ever.
pub(super) fn duration_or_forever(least: &'static str, most: &'static str) -> Format<Option<Duration>> {
    let inner = duration(least, most);
    let range = format!("{}, or forever", inner.range);
    Format::new("duration", range, format!(r#"{} or "forever""#, inner.expected), move |given| {
        if given.text() == Some("forever") { Some(None) } else { inner.read(given).map(Some) }
    })
}

/// One of a few words.
pub(super) fn one_of<T: Copy + 'static>(words: &'static [(&'static str, T)]) -> Format<T> {
    let list = words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
    Format::new("word", &*list, format!("one of {list}"), |given| {
        let text = given.text()?;
        words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value)
    })
}

/// A text that says yes to `allowed`; `what` completes "expected ..".
pub(super) fn text_that(
    range: &'static str,
    what: impl Display,
    allowed: impl Fn(&str) -> bool + 'static,
) -> Format<String> {
    Format::new("text", range, what.to_string(), move |given| {
        given.text().filter(|text| allowed(text)).map(str::to_owned)
    })
}

/// Any text but none.
pub(super) fn text() -> Format<String> {
    text_that("not empty", "a text that is not empty", |text| !text.is_empty())
}

/// A name that is safe in a URL and in a NATS subject.
pub(super) fn name() -> Format<String> {
    text_that("[a-z0-9-]{1,64}", "1 to 64 of the characters a-z, 0-9 and -", |text| {
        (1..=64).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
    })
}

/// The name of an HTTP header, in lower case once read.
pub(super) fn header_name() -> Format<String> {
    Format::new("text", "an HTTP header name", "the name of an HTTP header", |given| {
        Some(HeaderName::from_bytes(given.text()?.as_bytes()).ok()?.as_str().to_owned())
    })
}

/// Where a process listens.
pub(super) fn address() -> Format<SocketAddr> {
    let expected = r#"an IP address and a port (such as "127.0.0.1:8080")"#;
    Format::new("address", "IP address and port", expected, |given| given.text()?.parse().ok())
}

/// A range of addresses; a single address is a range of one. One of mapped IPv4 addresses is one of IPv4, as peers are told.
pub(super) fn network() -> Format<IpNet> {
    let expected = r#"a network or an address (such as "10.0.0.0/8", "::1")"#;
    Format::new("network", "CIDR or IP address", expected, |given| {
        let text = given.text()?;
        let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
        text.parse::<IpNet>().ok().or_else(address).and_then(|network| unmapped(network.trunc()))
    })
}

/// `::ffff:10.0.0.0/104` is `10.0.0.0/8`; nothing, for what has mapped addresses and others.
fn unmapped(network: IpNet) -> Option<IpNet> {
    let IpNet::V6(v6) = network else { return Some(network) };
    match (v6.addr().to_ipv4_mapped(), v6.prefix_len().checked_sub(96)) {
        (Some(address), Some(length)) => IpNet::new(address.into(), length).ok(),
        (Some(_), None) => None,
        (None, _) => Some(network),
    }
}

/// The start of the URLs that providers call.
pub(super) fn base_url() -> Format<PublicUrl> {
    let expected = "an absolute http or https URL without query and fragment";
    Format::new("URL", expected, expected, |given| PublicUrl::base(given.text()?))
}

/// The whole URL that a provider calls.
pub(super) fn whole_url() -> Format<PublicUrl> {
    let expected = "an absolute http or https URL";
    Format::new("URL", expected, expected, |given| PublicUrl::whole(given.text()?))
}

/// Which log lines are written. A lone word that is no level would be read as the name of a module
/// and turn off everything else, so it is refused.
pub(super) fn log_filter() -> Format<String> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let expected = r#"a level (off, error, warn, info, debug, trace) or a filter such as "info,runtime=debug""#;
    text_that("a level or a tracing filter", expected, |text| {
        let stands = |part: &str| part.contains(['=', '[']) || LEVELS.contains(&part.trim());
        text.split(',').all(stands) && EnvFilter::try_new(text).is_ok()
    })
}
