//! Judges a stored request again, with the secrets that the configuration has now. Pure.
//!
//! A credential was replaced by a fingerprint before the request was stored. What today's secrets would send is made
//! here, and where its fingerprint is the stored one, the credential was that; it is put back for the judgement, so that
//! the provider's adapter judges what it would have judged. Times are compared with when the request came in.

use http::Method;
use ingest_gateway::redact::Fingerprints;
use proto::header::Pair;
use proto::{Channel, RawEnvelope};
use providers::{Adapter, Certificate, Flaw, Keyring, KeyringError, Request, Scheme, Signed, Verdict};
use runtime::config::{Config, Source};
use secrecy::ExposeSecret;

/// What stands before a fingerprint.
const MARK: &str = "fp:";

/// A source as it is configured today. Without `Debug`: its URL may hold a credential.
pub(crate) struct Judge {
    channel: Channel,
    pub(crate) adapter: &'static dyn Adapter,
    pub(crate) scheme: Scheme,
    pub(crate) keyring: Keyring,
    /// One for each secret: what its holder would send.
    single: Vec<Keyring>,
    fingerprints: Fingerprints,
    /// What the provider calls, as it is configured; `None`: what the request's `Host` says.
    public_url: Option<String>,
    name: String,
}

/// Why there is nobody to judge.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoJudge {
    /// The source was taken out of the configuration.
    #[error("the configuration has no source {0} any more")]
    NoSource(String),
    /// Its provider is not known.
    #[error("there is no adapter for the provider of {0}")]
    NoAdapter(String),
    /// Its secrets do not fit.
    #[error("the secrets of {name} cannot be used")]
    Secrets {
        name: String,
        #[source]
        source: KeyringError,
    },
}

impl Judge {
    pub(crate) fn new(config: &Config, channel: Channel, name: &str) -> Result<Self, NoJudge> {
        let source = config.sources.iter().find(|source| source.name == name && source.channel == channel.as_str());
        let source = source.ok_or_else(|| NoJudge::NoSource(format!("{channel}/{name}")))?;
        let adapter = providers::find(channel, &source.provider);
        let adapter = adapter.ok_or_else(|| NoJudge::NoAdapter(name.to_owned()))?;
        let scheme = ingest_gateway::sources::scheme(&source.scheme);
        let secrets: Vec<&str> = source.secrets.iter().map(ExposeSecret::expose_secret).collect();
        let keyring = |secrets: &[&str]| {
            adapter.keyring(secrets, &scheme).map_err(|source| NoJudge::Secrets { name: name.to_owned(), source })
        };
        Ok(Self {
            channel,
            adapter,
            keyring: keyring(&secrets)?,
            single: secrets.iter().map(|secret| keyring(&[*secret])).collect::<Result<_, _>>()?,
            fingerprints: fingerprints(config),
            public_url: public_url(config, source),
            name: name.to_owned(),
            scheme,
        })
    }

    /// Where the certificate lies without which a request cannot be judged.
    pub(crate) fn certificate_url(&self, envelope: &RawEnvelope, body: &[u8]) -> Option<String> {
        let method = envelope.method.parse().ok()?;
        let request = Request { method: &method, url: "", query: None, headers: &envelope.headers, body };
        self.adapter.certificate_url(&request, &self.keyring, &self.scheme)
    }

    /// The verdict on a request as it lay in `HELD`, with the certificate that was fetched for it.
    pub(crate) fn judge(&self, envelope: &RawEnvelope, body: &[u8], certificate: Option<&Certificate>) -> Verdict {
        let Ok(method) = envelope.method.parse() else { return Verdict::Wrong(Flaw::Malformed) };
        let (headers, query) = self.restored(&method, envelope, body, &[]);
        let url = self.url(&headers, query.as_deref());
        let request = Request { method: &method, url: &url, query: query.as_deref(), headers: &headers, body };
        let keyring = certificate.map_or_else(|| self.keyring.clone(), |certificate| self.keyring.with(certificate));
        let verdict = self.adapter.authenticate(&request, &keyring, &self.scheme, envelope.received_at);
        let unknown = headers.iter().any(|(_, value)| is_fingerprint(value));
        match verdict {
            // A fingerprint is no credential, so the adapter cannot read it; what it stands for is just not ours.
            Verdict::Wrong(Flaw::Malformed) if unknown => Verdict::Wrong(Flaw::Mismatch),
            verdict => verdict,
        }
    }

    /// Headers and query with the credentials back in them that one of today's secrets, or of `more`, would make.
    pub(crate) fn restored(
        &self,
        method: &Method,
        envelope: &RawEnvelope,
        body: &[u8],
        more: &[Keyring],
    ) -> (Vec<Pair>, Option<String>) {
        let mut headers = envelope.headers.clone();
        let mut query = envelope.query.clone();
        for keyring in self.single.iter().chain(more) {
            let request = Request { method, url: "", query: query.as_deref(), headers: &headers, body };
            if let Some(signed) = self.adapter.sign(&request, keyring, &self.scheme, envelope.received_at) {
                self.put_back(&signed, &mut headers, &mut query);
            }
        }
        (headers, query)
    }

    /// Puts credentials back where their fingerprints are.
    fn put_back(&self, signed: &Signed, headers: &mut [Pair], query: &mut Option<String>) {
        for (name, value) in &signed.headers {
            let stored = headers.iter_mut().filter(|(other, _)| other.eq_ignore_ascii_case(name));
            for (_, stored) in stored.filter(|(_, stored)| is_fingerprint(stored)) {
                if let Some(sent) = spellings(value).find(|sent| self.fingerprints.of(sent).as_bytes() == stored) {
                    *stored = sent;
                }
            }
        }
        if let (Some(piece), Some(query)) = (&signed.query, query) {
            *query = self.put_back_query(piece, query);
        }
    }

    fn put_back_query(&self, piece: &str, query: &str) -> String {
        let Some((name, value)) = piece.split_once('=') else { return query.to_owned() };
        let redacted = self.fingerprints.redact_query(piece, &[name]);
        let stored = redacted.split_once('=').map(|(_, fingerprint)| fingerprint);
        let back = |part: &str| match part.split_once('=') {
            Some((name, given)) if Some(given) == stored => format!("{name}={value}"),
            _ => part.to_owned(),
        };
        query.split('&').map(back).collect::<Vec<_>>().join("&")
    }

    /// The URL that the provider called, as the gateway reckons it.
    pub(crate) fn url(&self, headers: &[Pair], query: Option<&str>) -> String {
        let whole = self.public_url.clone().unwrap_or_else(|| {
            let host = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("host"));
            let host = host.map_or_else(String::new, |(_, value)| String::from_utf8_lossy(value).into_owned());
            format!("http://{host}/v1/{}/{}", self.channel, self.name)
        });
        let Some(query) = query else { return whole };
        let path = whole.split_once('?').map_or(whole.as_str(), |(path, _)| path);
        format!("{path}?{query}")
    }
}

/// Whether this stands for a credential.
pub(crate) fn is_fingerprint(value: &[u8]) -> bool {
    value.starts_with(MARK.as_bytes())
}

/// The ways in which a sender may have written a credential: the word before it takes any case (RFC 9110, section 11.1).
fn spellings(value: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let other_case = |change: fn(&[u8]) -> Vec<u8>| {
        let space = value.iter().position(|byte| *byte == b' ')?;
        let (word, rest) = value.split_at_checked(space)?;
        Some([change(word), rest.to_vec()].concat())
    };
    let cases = [other_case(<[u8]>::to_ascii_lowercase), other_case(<[u8]>::to_ascii_uppercase)];
    std::iter::once(value.to_vec()).chain(cases.into_iter().flatten())
}

fn fingerprints(config: &Config) -> Fingerprints {
    let secret = config.dedup.hash_key.as_ref().map_or("", |key| key.expose_secret());
    Fingerprints::derive(secret.as_bytes())
}

fn public_url(config: &Config, source: &Source) -> Option<String> {
    if let Some(whole) = &source.public_url {
        return Some(whole.as_str().to_owned());
    }
    let base = config.gateway.public_url.as_ref()?;
    Some(format!("{}/v1/{}/{}", base.as_str(), source.channel, source.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::{Millis, Verified};
    use runtime::config::{Environment, Need, Requirements};

    fn config(sources: &str) -> Config {
        let text =
            format!("dedup.hash_key = {{ value = 'test-key' }}\ngateway.public_url = 'https://in.example'\n{sources}");
        Config::parse_for(&text, "t.toml", &Environment::default(), Requirements::every(Need::Optional)).unwrap()
    }

    fn source(channel: &str, provider: &str, secret: &str) -> String {
        format!(
            "[[sources]]\nname = 's'\nchannel = '{channel}'\nprovider = '{provider}'\nsecrets = [{{ value = 'o:ld' }}, {{ value = '{secret}' }}]"
        )
    }

    /// A request as the gateway holds it, signed by whoever has `secret`.
    fn held(channel: Channel, provider: &str, secret: &str, change: fn(&mut RawEnvelope)) -> RawEnvelope {
        let config = config(&source(channel.as_str(), provider, secret));
        let judge = Judge::new(&config, channel, "s").unwrap();
        let body_type = ("content-type".to_owned(), b"application/x-www-form-urlencoded".to_vec());
        let mut envelope = RawEnvelope {
            id: uuid::Uuid::from_u128(1),
            received_at: Millis::from_unix(1_795_412_009_120).unwrap(),
            method: "POST".into(),
            query: Some("a=1".into()),
            provider: provider.into(),
            verified: Verified::No,
            headers: vec![body_type],
            body: None,
            replay: None,
            traceparent: None,
        };
        let url = format!("https://in.example/v1/{channel}/s?a=1");
        let request = Request {
            method: &http::Method::POST,
            url: &url,
            query: Some("a=1"),
            headers: &envelope.headers,
            body: BODY,
        };
        let signed = judge.adapter.sign(&request, &judge.single[1], &judge.scheme, envelope.received_at).unwrap();
        envelope.headers.extend(signed.headers);
        if let Some(piece) = signed.query {
            envelope.query = Some(format!("a=1&{piece}"));
        }
        change(&mut envelope);
        let query = envelope.query.as_deref().unwrap_or_default();
        envelope.query = Some(judge.fingerprints.redact_query(query, judge.adapter.secret_parameters()).into_owned());
        let request =
            Request { method: &http::Method::POST, url: "", query: None, headers: &envelope.headers, body: BODY };
        let signatures = judge.adapter.signature_headers(&request, &judge.scheme);
        judge.fingerprints.redact_headers(&mut envelope.headers, &[], signatures);
        envelope
    }

    const BODY: &[u8] = b"MessageSid=SM1&Body=hi";

    fn verdict(
        channel: Channel,
        provider: &str,
        signed_with: &str,
        today: &str,
        change: fn(&mut RawEnvelope),
    ) -> Verdict {
        let envelope = held(channel, provider, signed_with, change);
        let config = config(&source(channel.as_str(), provider, today));
        Judge::new(&config, channel, "s").unwrap().judge(&envelope, BODY, None)
    }

    #[test]
    fn a_secret_that_was_put_right_lets_a_signature_fit() {
        let same = |_: &mut RawEnvelope| {};
        assert_eq!(verdict(Channel::Sms, "twilio", "right", "right", same), Verdict::Fits { secret: 1 });
        assert_eq!(verdict(Channel::Sms, "twilio", "right", "wrong", same), Verdict::Wrong(Flaw::Mismatch));
    }

    #[test]
    fn a_signature_in_authorization_is_judged_like_any_other() {
        // Not the token that would be made here: whoever holds a request has only what came.
        let earlier = |envelope: &mut RawEnvelope| {
            let adapter = providers::find(Channel::Sms, "vonage-messages").unwrap();
            let keyring = adapter.keyring(&["right"], &Scheme::default()).unwrap();
            let request = Request { method: &http::Method::POST, url: "", query: None, headers: &[], body: BODY };
            let earlier = Millis::from_unix(envelope.received_at.as_unix() - 2000).unwrap();
            let signed = adapter.sign(&request, &keyring, &Scheme::default(), earlier).unwrap();
            envelope.headers.retain(|(name, _)| name != "authorization");
            envelope.headers.extend(signed.headers);
        };
        let verdict = |today| verdict(Channel::Sms, "vonage-messages", "right", today, earlier);
        assert_eq!(verdict("right"), Verdict::Fits { secret: 1 });
        assert_eq!(verdict("wrong"), Verdict::Wrong(Flaw::Mismatch));
    }

    #[test]
    fn a_credential_is_known_by_its_fingerprint_alone() {
        let same = |_: &mut RawEnvelope| {};
        for provider in ["bearer", "none"] {
            assert_eq!(verdict(Channel::Webhook, provider, "right", "right", same), Verdict::Fits { secret: 1 });
            assert_eq!(verdict(Channel::Webhook, provider, "right", "wrong", same), Verdict::Wrong(Flaw::Mismatch));
        }
        assert_eq!(verdict(Channel::Webhook, "basic", "u:right", "u:right", same), Verdict::Fits { secret: 1 });
    }

    #[test]
    fn the_word_before_a_credential_may_be_in_any_case() {
        let lower = |envelope: &mut RawEnvelope| {
            for (name, value) in &mut envelope.headers {
                if name == "authorization" {
                    *value = String::from_utf8(value.clone()).unwrap().replace("Bearer", "bearer").into_bytes();
                }
            }
        };
        assert_eq!(verdict(Channel::Webhook, "bearer", "right", "right", lower), Verdict::Fits { secret: 1 });
    }

    #[test]
    fn a_fingerprint_sent_as_a_credential_is_none() {
        // Whoever read a fingerprint in a log cannot be let in with it.
        let forged = |envelope: &mut RawEnvelope| {
            let stands = Fingerprints::derive(b"test-key").of(b"Bearer right");
            envelope.headers.retain(|(name, _)| name != "authorization");
            envelope.headers.push(("authorization".into(), stands.into_bytes()));
        };
        assert!(matches!(verdict(Channel::Webhook, "bearer", "right", "right", forged), Verdict::Wrong(_)));
    }

    #[test]
    fn the_url_is_the_one_that_the_gateway_reckons() {
        let url = |public_url: &str, query| {
            let source = format!("{}\n{public_url}", source("sms", "twilio", "s"));
            Judge::new(&config(&source), Channel::Sms, "s").unwrap().url(&[], query)
        };
        assert_eq!(url("", None), "https://in.example/v1/sms/s");
        assert_eq!(url("", Some("a=1")), "https://in.example/v1/sms/s?a=1");
        let own = "public_url = 'https://own.example/x?team=a'";
        assert_eq!(url(own, None), "https://own.example/x?team=a");
        assert_eq!(url(own, Some("team=a&b=1")), "https://own.example/x?team=a&b=1");
    }

    #[test]
    fn a_source_that_is_gone_has_no_judge() {
        assert!(matches!(Judge::new(&config(""), Channel::Sms, "s"), Err(NoJudge::NoSource(_))));
    }
}
