//! What happens to the headers that carry a signature: renamed, repeated, written in another alphabet, stripped of the
//! word before it; and what a provider calls them otherwise. Pure.

use percent_encoding::percent_decode_str;
use proto::header::Pair;

use super::secret::base64;
use crate::commands::verify::captured::header;
use crate::commands::verify::case::{Case, Trial, query_of, without_query};
use crate::commands::verify::expected::{Expected, ExpectedHeader, prefix};

/// Headers that are compared with what is missing, at most.
const COMPARED: usize = 200;

/// A change of a header, or of a parameter of the query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HeaderWay {
    /// Taken under the names that are expected: from, to.
    Renamed(Vec<(String, String)>),
    /// The first of several.
    First(String),
    /// The last of several.
    Last(String),
    /// Written otherwise.
    Value(String, Spelling),
    /// Another media type, which decides what a signature covers.
    ContentType(&'static str),
    /// A parameter of the query under the name that is expected: from, to.
    Parameter(String, String),
}

/// A way to write a header's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spelling {
    /// Without quotes around it.
    Unquoted,
    LowerCase,
    /// With the word that is expected before it.
    WithPrefix,
    /// Without the word before it.
    WithoutPrefix,
    /// With the standard alphabet and padding.
    StandardBase64,
    /// Base64 where there was hex.
    Base64,
    /// Hex where there was base64.
    Hex,
    /// `+` where there was a space.
    Pluses,
    PercentDecoded,
}

const SPELLINGS: [Spelling; 9] = [
    Spelling::Unquoted,
    Spelling::LowerCase,
    Spelling::WithPrefix,
    Spelling::WithoutPrefix,
    Spelling::StandardBase64,
    Spelling::Base64,
    Spelling::Hex,
    Spelling::Pluses,
    Spelling::PercentDecoded,
];
const CONTENT_TYPES: [&str; 2] = ["application/x-www-form-urlencoded", "application/json"];

/// Every change to try.
pub(crate) fn ways(case: &Case, expected: &Expected) -> Vec<HeaderWay> {
    let mut ways = Vec::new();
    for wanted in missing(case, expected) {
        let alike = look_alikes(&case.headers, wanted).take(8);
        ways.extend(alike.map(|name| HeaderWay::Renamed(vec![(name, wanted.name.clone())])));
    }
    let all: Vec<(String, String)> = missing(case, expected)
        .filter_map(|wanted| Some((look_alikes(&case.headers, wanted).next()?, wanted.name.clone())))
        .collect();
    if all.len() > 1 {
        ways.push(HeaderWay::Renamed(all));
    }
    for ExpectedHeader { name, .. } in &expected.headers {
        match count(&case.headers, name) {
            0 => {}
            1 => ways.extend(SPELLINGS.map(|spelling| HeaderWay::Value(name.clone(), spelling))),
            _ => ways.extend([HeaderWay::First(name.clone()), HeaderWay::Last(name.clone())]),
        }
    }
    ways.extend(CONTENT_TYPES.map(HeaderWay::ContentType));
    for wanted in &expected.parameters {
        let given = query_of(&case.url).unwrap_or_default();
        let names = form_urlencoded::parse(given.as_bytes()).map(|(name, _)| name.into_owned()).take(50);
        let others = names.filter(|name| name != wanted);
        ways.extend(others.map(|name| HeaderWay::Parameter(name, wanted.clone())));
    }
    ways.dedup();
    ways
}

/// The headers that are expected and not there.
pub(crate) fn missing<'e>(case: &'e Case, expected: &'e Expected) -> impl Iterator<Item = &'e ExpectedHeader> {
    expected.headers.iter().filter(|wanted| header(&case.headers, &wanted.name).is_none_or(str::is_empty))
}

/// How often a header is there.
pub(crate) fn count(headers: &[Pair], name: &str) -> usize {
    headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name)).count()
}

/// The names of headers that may be the wanted one under another name, the likest first.
pub(crate) fn look_alikes<'h>(headers: &'h [Pair], wanted: &'h ExpectedHeader) -> impl Iterator<Item = String> + 'h {
    let close = |name: &&str| {
        let (plain, target) = (plain(name), plain(&wanted.name));
        plain == target || strsim::levenshtein(&plain, &target) <= 2
    };
    let same_end = |name: &&str| last_word(name) == last_word(&wanted.name);
    let names = || headers.iter().take(COMPARED).map(|(name, _)| name.as_str()).filter(|name| name.len() <= 100);
    let likely = names().filter(close);
    let possible = names().filter(move |name| !close(name) && same_end(name));
    likely.chain(possible).map(str::to_owned)
}

/// A name without what servers and frameworks change: case, `_` for `-`, `HTTP_` and `X-` before it.
fn plain(name: &str) -> String {
    let name: String = name.to_ascii_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
    let before = ["http", "xoriginal", "xforwarded", "x"];
    before.iter().find_map(|word| name.strip_prefix(word)).unwrap_or(&name).to_owned()
}

fn last_word(name: &str) -> String {
    name.rsplit(['-', '_']).next().unwrap_or_default().to_ascii_lowercase()
}

impl HeaderWay {
    /// Changes a trial; `None` where that changes nothing.
    pub(crate) fn apply(&self, trial: &mut Trial<'_>) -> Option<()> {
        match self {
            Self::Renamed(renames) => {
                for (name, _) in trial.headers.to_mut() {
                    if let Some((_, to)) = renames.iter().find(|(from, _)| from == name) {
                        name.clone_from(to);
                    }
                }
            }
            Self::First(name) => keep(trial, name, |at, _| at == 0),
            Self::Last(name) => keep(trial, name, |at, count| at + 1 == count),
            Self::Value(name, spelling) => {
                let wanted = trial_prefix(trial, name);
                let (_, value) =
                    trial.headers.to_mut().iter_mut().find(|(other, _)| other.eq_ignore_ascii_case(name))?;
                let text = std::str::from_utf8(value).ok()?.trim_ascii();
                *value = spelled(text, *spelling, &wanted).filter(|new| new != text)?.into_bytes();
            }
            Self::ContentType(media) => {
                if header(&trial.headers, "content-type").is_some_and(|given| given.starts_with(media)) {
                    return None;
                }
                let headers = trial.headers.to_mut();
                headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
                headers.push(("content-type".to_owned(), media.as_bytes().to_vec()));
            }
            Self::Parameter(from, to) => {
                let query = query_of(&trial.url)?;
                let renamed = |piece: &str| {
                    let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
                    if name == from { format!("{to}={value}") } else { piece.to_owned() }
                };
                let query = query.split('&').map(renamed).collect::<Vec<_>>().join("&");
                trial.url = format!("{}?{query}", without_query(&trial.url)).into();
            }
        }
        Some(())
    }
}

fn keep(trial: &mut Trial<'_>, name: &str, wanted: impl Fn(usize, usize) -> bool) {
    let total = count(&trial.headers, name);
    let mut at = 0;
    trial.headers.to_mut().retain(|(other, _)| {
        if !other.eq_ignore_ascii_case(name) {
            return true;
        }
        at += 1;
        wanted(at - 1, total)
    });
}

/// The word that the adapter expects before the value.
fn trial_prefix(trial: &Trial<'_>, name: &str) -> String {
    let content_type = header(&trial.headers, "content-type");
    let expected = crate::commands::verify::expected::of(trial.adapter, &trial.scheme, trial.method, content_type);
    let headers = expected.map(|expected| expected.headers).unwrap_or_default();
    headers.into_iter().find(|wanted| wanted.name.eq_ignore_ascii_case(name)).map(|w| w.prefix).unwrap_or_default()
}

fn spelled(text: &str, spelling: Spelling, wanted: &str) -> Option<String> {
    // What is encoded is the signature, not the word before it.
    let (word, mac) = text.split_at_checked(prefix(text).len())?;
    let encoded = |bytes: Vec<u8>, hex: bool| {
        let text = if hex { hex::encode(bytes) } else { encode(&bytes) };
        format!("{word}{text}")
    };
    Some(match spelling {
        Spelling::Unquoted => text.replace(['"', '\''], ""),
        Spelling::LowerCase => text.to_ascii_lowercase(),
        Spelling::WithPrefix if !wanted.is_empty() => format!("{wanted}{mac}"),
        Spelling::WithPrefix => return None,
        Spelling::WithoutPrefix => mac.to_owned(),
        Spelling::StandardBase64 => encoded(base64(mac)?, false),
        Spelling::Base64 => encoded(hex::decode(mac).ok()?, false),
        Spelling::Hex => encoded(base64(mac)?, true),
        // The space after a word that is expected is none of the signature's.
        Spelling::Pluses => match text.strip_prefix(wanted) {
            Some(mac) => format!("{wanted}{}", mac.replace(' ', "+")),
            None => text.replace(' ', "+"),
        },
        Spelling::PercentDecoded => percent_decode_str(text).decode_utf8().ok()?.into_owned(),
    })
}

fn encode(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_known_under_the_names_that_servers_give_it() {
        let wanted = ExpectedHeader { name: "x-hub-signature-256".to_owned(), prefix: String::new() };
        let alike = |name: &str| {
            let headers = [("host".to_owned(), Vec::new()), (name.to_owned(), Vec::new())];
            look_alikes(&headers, &wanted).next()
        };
        for name in ["X_Hub_Signature_256", "HTTP_X_HUB_SIGNATURE_256", "hub-signature-256", "X-Hub-Signatur-256"] {
            assert_eq!(alike(name).as_deref(), Some(name));
        }
        assert_eq!(alike("x-hub-signature"), None);
        assert_eq!(alike("content-type"), None);
    }

    #[test]
    fn a_signature_is_spelled_as_the_provider_does() {
        let is = |text: &str, spelling, wanted: &str, expected: &str| {
            assert_eq!(spelled(text, spelling, wanted).as_deref(), Some(expected), "{spelling:?}");
        };
        is("\"ab\"", Spelling::Unquoted, "", "ab");
        is("sha256=ABCD", Spelling::LowerCase, "", "sha256=abcd");
        is("abcd", Spelling::WithPrefix, "sha256=", "sha256=abcd");
        is("sha1=abcd", Spelling::WithPrefix, "sha256=", "sha256=abcd");
        is("sha256=abcd", Spelling::WithoutPrefix, "", "abcd");
        is("v1,_-8", Spelling::StandardBase64, "", "v1,/+8=");
        is("sha256=ffef", Spelling::Base64, "", "sha256=/+8=");
        is("sha256=/+8=", Spelling::Hex, "", "sha256=ffef");
        is("/ 8=", Spelling::Pluses, "", "/+8=");
        is("ab 8=", Spelling::Pluses, "v1,", "ab+8=");
        is("Basic a b=", Spelling::Pluses, "Basic ", "Basic a+b=");
        is("%2F%2B8%3D", Spelling::PercentDecoded, "", "/+8=");
    }
}
