//! A request as a source's provider would post it: where it goes, what it is signed over, and the signature. Pure.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::Full;
use proto::{Channel, Millis};
use providers::{Adapter, Keyring, Scheme};
use runtime::config::{Config, Source};
use secrecy::ExposeSecret;

use super::sample::Unsigned;
use crate::commands::error::CommandError;
use crate::commands::site::source_named;

/// A source, ready to play its provider. Without `Debug`: its URL may hold a credential.
pub(crate) struct Player {
    pub(crate) channel: Channel,
    pub(crate) provider: String,
    name: String,
    adapter: &'static dyn Adapter,
    keyring: Keyring,
    scheme: Scheme,
    /// What the provider calls, without query, and the query it calls with; `None`: what is posted to.
    public: Option<(String, Option<String>)>,
    /// Where it is posted to: scheme and authority.
    base: String,
}

impl Player {
    /// The source of this name, posted to at `url` (scheme and authority; its path, if any, is not looked at).
    pub(crate) fn new(config: &Config, name: &str, url: &str) -> Result<Self, CommandError> {
        let source = source_named(config, name)?;
        let unusable = |what: String| CommandError::usage(format!("source {name}: {what}"), "see `penstock check`");
        let adapter =
            source.channel.parse::<Channel>().ok().and_then(|channel| providers::find(channel, &source.provider));
        let adapter = adapter.ok_or_else(|| unusable("there is no adapter for its provider".to_owned()))?;
        let scheme = ingest_gateway::sources::scheme(&source.scheme);
        let secrets: Vec<&str> = source.secrets.iter().map(ExposeSecret::expose_secret).collect();
        let keyring = adapter.keyring(&secrets, &scheme).map_err(|error| unusable(error.to_string()))?;
        Ok(Self {
            channel: adapter.channel(),
            provider: source.provider.clone(),
            name: name.to_owned(),
            adapter,
            keyring,
            scheme,
            public: public(config, source, adapter.channel()),
            base: base(url)?,
        })
    }

    fn path(&self) -> String {
        format!("/v1/{}/{}", self.channel, self.name)
    }

    /// Where it is posted to.
    pub(crate) fn url(&self) -> String {
        format!("{}{}", self.base, self.path())
    }

    /// Signs a request, as of `now`.
    pub(crate) fn sign(&self, unsigned: &Unsigned, now: Millis) -> Result<Request<Full<Bytes>>, CommandError> {
        let wrong = |what: &str| CommandError::usage(what, "see `penstock send --help`");
        let method: Method = unsigned.method.parse().map_err(|_| wrong("the method is none"))?;
        let (public, own_query) = match &self.public {
            Some((url, query)) => (url.clone(), query.as_deref()),
            None => (self.url(), None),
        };
        let query = joined([own_query, unsigned.query.as_deref()]);
        let headers: Vec<(String, Vec<u8>)> =
            unsigned.headers.iter().map(|(name, value)| (name.clone(), value.clone().into_bytes())).collect();
        let url = query.as_deref().map_or_else(|| public.clone(), |query| format!("{public}?{query}"));
        let signed = {
            let request = providers::Request {
                method: &method,
                url: &url,
                query: query.as_deref(),
                headers: &headers,
                body: &unsigned.body,
            };
            self.adapter.sign(&request, &self.keyring, &self.scheme, now)
        };
        let signed = signed.ok_or_else(|| {
            let what = format!("the secrets of {} can verify and not sign", self.name);
            CommandError::usage(
                what,
                "add a private key (`whsk_..`; PKCS #8 for SendGrid; for ses a PEM, as `openssl genrsa` writes it) to \
                 `secrets` of a configuration for trying out",
            )
        })?;
        let query = joined([query.as_deref(), signed.query.as_deref()]);
        let target = query.map_or_else(|| self.path(), |query| format!("{}?{query}", self.path()));
        let target: Uri = target.parse().map_err(|_| wrong("the query cannot be sent"))?;
        let mut request = Request::new(Full::new(Bytes::from(signed.body.unwrap_or_else(|| unsigned.body.clone()))));
        *request.method_mut() = method;
        *request.uri_mut() = target;
        for (name, value) in headers.into_iter().chain(signed.headers) {
            let name: HeaderName = name.parse().map_err(|_| wrong(&format!("{name:?} is no header's name")))?;
            let value = HeaderValue::from_bytes(&value)
                .map_err(|_| wrong(&format!("{name} has a value that cannot be sent")))?;
            request.headers_mut().append(name, value);
        }
        Ok(request)
    }
}

/// What the provider was told to call, as the gateway reckons it.
fn public(config: &Config, source: &Source, channel: Channel) -> Option<(String, Option<String>)> {
    if let Some(whole) = &source.public_url {
        let url = whole.as_str();
        return Some(
            url.split_once('?').map_or((url.to_owned(), None), |(url, query)| (url.to_owned(), Some(query.to_owned()))),
        );
    }
    let base = config.gateway.public_url.as_ref()?;
    Some((format!("{}/v1/{channel}/{}", base.as_str(), source.name), None))
}

fn base(url: &str) -> Result<String, CommandError> {
    let uri: Option<Uri> = url.parse().ok();
    uri.as_ref()
        .and_then(|uri| Some(format!("{}://{}", uri.scheme_str()?, uri.authority()?)))
        .ok_or_else(|| CommandError::usage(format!("{url:?} is no address"), "name one such as http://127.0.0.1:8080"))
}

fn joined<const N: usize>(pieces: [Option<&str>; N]) -> Option<String> {
    let pieces: Vec<&str> = pieces.into_iter().flatten().filter(|piece| !piece.is_empty()).collect();
    (!pieces.is_empty()).then(|| pieces.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::send::sample;
    use http_body_util::BodyExt as _;
    use proto::header::Pair;
    use providers::Verdict;
    use runtime::config::{Environment, Need, Requirements};

    const SOURCES: &str = r#"
        gateway.public_url = "https://in.example.com"
        [[sources]]
        name = "support"
        channel = "sms"
        provider = "twilio"
        secrets = [{ value = "test-secret" }]
        [[sources]]
        name = "moved"
        channel = "sms"
        provider = "twilio"
        secrets = [{ value = "test-secret" }]
        public_url = "https://other.example.com/hook?team=a"
        [[sources]]
        name = "texts"
        channel = "sms"
        provider = "vonage"
        algorithm = "sha256"
        secrets = [{ value = "test-secret" }]
        [[sources]]
        name = "contact"
        channel = "form"
        provider = "generic"
        secrets = [{ value = "in the URL" }]
        [[sources]]
        name = "orders"
        channel = "webhook"
        provider = "standard"
        secrets = [{ value = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD" }]
        [[sources]]
        name = "public"
        channel = "webhook"
        provider = "standard"
        secrets = [{ value = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=" }]
        "#;

    /// A key of one's own, in the place of the one that SNS has.
    const SNS: &str = include_str!("../../../../providers/tests/data/keys/sns-signer.key.pem");

    fn config() -> Config {
        let mails = format!(
            "[[sources]]\nname = 'mails'\nchannel = 'email'\nprovider = 'ses'\n\
             topics = ['arn:aws:sns:us-east-1:210987654321:ours']\nsecrets = [{{ value = {SNS:?} }}]"
        );
        Config::parse_for(
            &format!("{SOURCES}{mails}"),
            "t.toml",
            &Environment::default(),
            Requirements::every(Need::Optional),
        )
        .unwrap()
    }

    /// What the gateway finds of a request that was signed here.
    fn verdict(name: &str, url: &str) -> Verdict {
        let config = config();
        let player = Player::new(&config, name, "http://127.0.0.1:8080").unwrap();
        let now = Millis::from_unix(1_795_412_009_120).unwrap();
        let chosen = sample::choose(player.channel, &player.provider, None).unwrap();
        let unsigned = chosen.fill([7; 32], now.as_unix()).unwrap();
        let request = player.sign(&unsigned, now).unwrap();
        let headers: Vec<Pair> =
            request.headers().iter().map(|(n, v)| (n.to_string(), v.as_bytes().to_vec())).collect();
        let query = request.uri().query();
        let url = query.map_or_else(|| url.to_owned(), |query| format!("{url}?{query}"));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let body = runtime.block_on(request.body().clone().collect()).unwrap().to_bytes();
        let seen = providers::Request { method: request.method(), url: &url, query, headers: &headers, body: &body };
        player.adapter.authenticate(&seen, &player.keyring, &player.scheme, now)
    }

    #[test]
    fn what_is_signed_here_verifies_there() {
        for (name, url) in [
            ("support", "https://in.example.com/v1/sms/support"),
            ("moved", "https://other.example.com/hook"),
            ("texts", "https://in.example.com/v1/sms/texts"),
            ("contact", "https://in.example.com/v1/form/contact"),
            ("orders", "https://in.example.com/v1/webhook/orders"),
            ("mails", "https://in.example.com/v1/email/mails"),
        ] {
            assert_eq!(verdict(name, url), Verdict::Fits { secret: 0 }, "{name}");
        }
    }

    #[test]
    fn the_query_that_the_provider_was_told_to_call_is_sent() {
        let player = Player::new(&config(), "moved", "http://127.0.0.1:8080").unwrap();
        let unsigned = sample::choose(Channel::Sms, "twilio", None).unwrap().fill([7; 32], 0).unwrap();
        let request = player.sign(&unsigned, Millis::from_unix(0).unwrap()).unwrap();
        assert_eq!(request.uri(), "/v1/sms/moved?team=a");
    }

    #[test]
    fn a_source_that_is_not_there_is_answered_with_those_that_are() {
        let error = Player::new(&config(), "suport", "http://127.0.0.1:1").err().unwrap();
        assert!(error.next().contains("support, moved"), "{}", error.next());
    }

    #[test]
    fn a_public_key_cannot_play_the_provider() {
        let config = config();
        let player = Player::new(&config, "public", "http://127.0.0.1:1").unwrap();
        let unsigned = sample::choose(Channel::Webhook, "standard", None).unwrap().fill([7; 32], 0).unwrap();
        let error = player.sign(&unsigned, Millis::from_unix(0).unwrap()).unwrap_err();
        assert!(error.to_string().contains("not sign"), "{error}");
    }
}
