//! What a source's requests carry and what their signature covers, found out by asking its adapter to sign. Pure.
//!
//! An adapter does not list its headers; the request that it would sign has them. The secret for that is made up, so
//! nothing here depends on a real one.

use http::Method;
use proto::Millis;
use proto::header::Pair;
use providers::{Adapter, Keyring, Request, Scheme, Signed, Verdict};

/// Texts that some adapter takes for a secret: `user:password`, and base64.
const MADE_UP: [&str; 2] = ["probe:probe", "cHJvYmU="];

/// What a request of a source carries beside its content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) headers: Vec<ExpectedHeader>,
    /// Query parameters.
    pub(crate) parameters: Vec<String>,
    pub(crate) covers: Covers,
}

/// A header that the signature needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExpectedHeader {
    pub(crate) name: String,
    /// What stands before the value: `sha256=`, `v1,`, `Bearer `.
    pub(crate) prefix: String,
}

/// What a change of makes another signature. Nothing at all: then what is sent is the secret itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a thing that may be covered, whatever the others are")]
pub(crate) struct Covers {
    pub(crate) url: bool,
    pub(crate) query: bool,
    pub(crate) body: bool,
    pub(crate) time: bool,
}

impl Covers {
    /// In words.
    pub(crate) fn in_words(self) -> String {
        let parts = [
            (self.url, "the URL"),
            (self.query && !self.url, "the query"),
            (self.body, "the body"),
            (self.time, "a time"),
        ];
        let parts: Vec<&str> = parts.into_iter().filter(|(holds, _)| *holds).map(|(_, name)| name).collect();
        if parts.is_empty() { "nothing: the credential is the secret itself".to_owned() } else { parts.join(", ") }
    }
}

/// What `adapter` looks for in a request of this method and media type; `None` where it cannot be found out.
pub(crate) fn of(
    adapter: &dyn Adapter,
    scheme: &Scheme,
    method: &Method,
    content_type: Option<&str>,
) -> Option<Expected> {
    let keyring = MADE_UP.iter().find_map(|secret| adapter.keyring(&[*secret], scheme).ok())?;
    let probe = Probe::new(adapter, scheme, &keyring, method, content_type);
    let plain = probe.sign(HOST, "a=1", 1, 1)?;
    let differs = |signed: Option<Signed>| signed.is_some_and(|signed| signed != plain);
    // Some of what a provider sends beside is only an id.
    let needed = plain.headers.iter().filter(|(name, _)| !probe.fits_without(&plain, name));
    let mut headers: Vec<ExpectedHeader> = needed.map(ExpectedHeader::of).collect();
    // Where a source names a header, it may be one that is only verified and never made.
    if let Some(name) = &scheme.header
        && !headers.iter().any(|header| header.name.eq_ignore_ascii_case(name))
    {
        headers.push(ExpectedHeader { name: name.clone(), prefix: scheme.prefix.clone() });
    }
    let query = plain.query.as_deref().unwrap_or_default().as_bytes();
    Some(Expected {
        headers,
        parameters: form_urlencoded::parse(query).map(|(name, _)| name.into_owned()).collect(),
        covers: Covers {
            url: differs(probe.sign("https://b.example", "a=1", 1, 1)),
            query: differs(probe.sign(HOST, "a=2", 1, 1)),
            body: differs(probe.sign(HOST, "a=1", 2, 1)),
            time: differs(probe.sign(HOST, "a=1", 1, 2)),
        },
    })
}

const HOST: &str = "https://a.example";
/// Milliseconds.
const DAY: i64 = 86_400_000;

/// Signs requests that differ in one thing.
struct Probe<'p> {
    adapter: &'p dyn Adapter,
    scheme: &'p Scheme,
    keyring: &'p Keyring,
    method: &'p Method,
    headers: Vec<Pair>,
    is_json: bool,
}

impl<'p> Probe<'p> {
    fn new(
        adapter: &'p dyn Adapter,
        scheme: &'p Scheme,
        keyring: &'p Keyring,
        method: &'p Method,
        content_type: Option<&str>,
    ) -> Self {
        let media = content_type.map(|value| ("content-type".to_owned(), value.as_bytes().to_vec()));
        let is_json = content_type.is_some_and(|value| value.contains("json"));
        Self { adapter, scheme, keyring, method, headers: media.into_iter().collect(), is_json }
    }

    fn body(&self, number: u8) -> String {
        if self.is_json { format!("{{\"a\":{number}}}") } else { format!("a={number}") }
    }

    fn sign(&self, host: &str, query: &str, body: u8, day: i64) -> Option<Signed> {
        let (url, body) = (format!("{host}/v1/x/y?{query}"), self.body(body));
        let request = Request {
            method: self.method,
            url: &url,
            query: Some(query),
            headers: &self.headers,
            body: body.as_bytes(),
        };
        self.adapter.sign(&request, self.keyring, self.scheme, Millis::from_unix(day * DAY)?)
    }

    /// Whether the plain request that was signed so holds without one of the headers.
    fn fits_without(&self, signed: &Signed, name: &str) -> bool {
        let body = signed.body.clone().unwrap_or_else(|| self.body(1).into_bytes());
        let query = ["a=1"].into_iter().chain(signed.query.as_deref()).collect::<Vec<_>>().join("&");
        let url = format!("{HOST}/v1/x/y?{query}");
        let headers = self.headers.iter().chain(signed.headers.iter().filter(|(other, _)| other != name));
        let headers: Vec<Pair> = headers.cloned().collect();
        let request = Request { method: self.method, url: &url, query: Some(&query), headers: &headers, body: &body };
        let verdict =
            Millis::from_unix(DAY).map(|now| self.adapter.authenticate(&request, self.keyring, self.scheme, now));
        matches!(verdict, Some(Verdict::Fits { .. }))
    }
}

impl ExpectedHeader {
    fn of((name, value): &Pair) -> Self {
        let prefix = std::str::from_utf8(value).map(prefix).unwrap_or_default();
        Self { name: name.clone(), prefix: prefix.to_owned() }
    }
}

/// The word before a signature, with what ends it. The `=` that base64 ends with ends no word.
pub(crate) fn prefix(value: &str) -> &str {
    const LONGEST: usize = 12;
    let Some(end) = value.find(['=', ',', ' ']) else { return "" };
    let (word, rest) = value.split_at_checked(end + 1).unwrap_or_default();
    let is_word = word.bytes().rev().skip(1).all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if is_word && (2..=LONGEST).contains(&word.len()) && !rest.trim_matches('=').is_empty() { word } else { "" }
}

#[cfg(test)]
mod tests {
    use proto::Channel;

    use super::*;

    fn expected(channel: Channel, provider: &str, scheme: &Scheme, content_type: &str) -> Expected {
        of(providers::find(channel, provider).unwrap(), scheme, &Method::POST, Some(content_type)).unwrap()
    }

    #[test]
    fn an_adapter_tells_by_signing_what_it_looks_for() {
        let plain = Scheme::default();
        let names = |expected: &Expected| -> Vec<String> {
            expected.headers.iter().map(|header| format!("{}: {}", header.name, header.prefix)).collect()
        };
        let twilio = expected(Channel::Sms, "twilio", &plain, "application/x-www-form-urlencoded");
        assert_eq!(names(&twilio), ["x-twilio-signature: "]);
        assert_eq!(twilio.covers, Covers { url: true, query: true, body: true, time: false });
        let json = expected(Channel::Sms, "twilio", &plain, "application/json");
        assert_eq!(json.parameters, ["bodySHA256"]);
        let github = expected(Channel::Webhook, "github", &plain, "application/json");
        assert_eq!(names(&github), ["x-hub-signature-256: sha256="]);
        assert_eq!(github.covers, Covers { body: true, ..Covers::default() });
        let standard = expected(Channel::Webhook, "standard", &plain, "application/json");
        assert!(names(&standard).contains(&"webhook-signature: v1,".to_owned()), "{standard:?}");
        assert!(standard.covers.time && standard.covers.body);
        let bearer = expected(Channel::Webhook, "bearer", &plain, "application/json");
        assert_eq!((names(&bearer), bearer.covers), (vec!["authorization: Bearer ".to_owned()], Covers::default()));
        let form = expected(Channel::Form, "generic", &plain, "text/plain");
        assert_eq!((form.headers.len(), form.parameters), (0, vec!["key".to_owned()]));
    }

    #[test]
    fn only_a_word_is_a_prefix() {
        for (value, word) in [
            ("sha256=abc", "sha256="),
            ("v1,abc=", "v1,"),
            ("Bearer abc", "Bearer "),
            ("abcd==", ""),
            ("ab+/cd=x", ""),
            ("RSOYDt4T1cUTdK1PDd93/VVr8B8=", ""),
            ("abc", ""),
            ("=abc", ""),
        ] {
            assert_eq!(prefix(value), word, "{value}");
        }
    }
}
