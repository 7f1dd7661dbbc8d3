//! Plays the provider: makes the request that it would send for a message, signed as it signs.
//!
//! A message is a function of its name, so a repeat is made again instead of being kept. Its id is the same; time and
//! signature are those of the attempt, as at a provider's retry. Texts are words, not one letter a thousand times: what
//! compresses to nothing would make the database look faster than it is.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Uri, header};
use http_body_util::Full;
use proto::header::Pair;
use proto::{Channel, Millis};
use providers::{Adapter, Keyring, Scheme, SourceSettings};
use runtime::clock::now_millis;
use runtime::config::{self, Config, Source};
use secrecy::ExposeSecret;

use super::error::BenchError;
use super::message::{Message, Run};

/// How many different texts there are.
const TEXTS: usize = 64;
const WORDS: [&str; 32] = [
    "order", "invoice", "delivery", "address", "tomorrow", "morning", "please", "confirm", "number", "customer",
    "return", "parcel", "was", "not", "the", "a", "for", "with", "question", "about", "payment", "received", "when",
    "will", "it", "arrive", "thank", "you", "number,", "street", "door", "again",
];

/// The form of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// An object with `id`, `type` and `message`.
    Json,
    /// `application/x-www-form-urlencoded` with Twilio's names.
    Twilio,
    /// A batch of one, as Meta sends it.
    Meta,
}

/// A source, ready to be sent to. Without `Debug`: its URL may hold a credential.
pub(crate) struct Player {
    pub(crate) run: Run,
    adapter: &'static dyn Adapter,
    keyring: Keyring,
    scheme: Scheme,
    settings: SourceSettings,
    shape: Shape,
    /// What the provider calls, which some sign.
    public_url: String,
    path: Uri,
    host: HeaderValue,
    size: usize,
    texts: Vec<String>,
}

/// The first source that can be played, or the one of that name.
pub(crate) fn choose<'a>(config: &'a Config, name: Option<&str>) -> Result<&'a Source, BenchError> {
    if let Some(name) = name {
        let source = config.sources.iter().find(|source| source.name == name);
        return source.ok_or_else(|| BenchError::NoSource(name.to_owned()));
    }
    let playable = |source: &&Source| shape_of(source).is_some() && !is_held(source);
    // Signed, with an id of the message: what most providers do.
    let standard = config.sources.iter().find(|source| source.provider == "standard" && playable(source));
    standard.or_else(|| config.sources.iter().find(playable)).ok_or(BenchError::NothingToPlay)
}

/// A source that would put everything aside has nothing to measure.
fn is_held(source: &Source) -> bool {
    source.secrets.is_empty() && source.verify == Some(config::Verify::Hold)
}

fn shape_of(source: &Source) -> Option<Shape> {
    match (source.channel.as_str(), source.provider.as_str()) {
        ("webhook", "cloudevents") => None,
        ("webhook", _) | ("form", "generic") => Some(Shape::Json),
        ("sms", "twilio") => Some(Shape::Twilio),
        ("whatsapp", "meta") => Some(Shape::Meta),
        _ => None,
    }
}

impl Player {
    /// For messages of `size` bytes to this source, sent to `gateway` (`http://host:port`).
    pub(crate) fn new(
        run: Run,
        source: &Source,
        config: &Config,
        gateway: &Uri,
        size: usize,
    ) -> Result<Self, BenchError> {
        let unplayable =
            || BenchError::Unplayable { channel: source.channel.clone(), provider: source.provider.clone() };
        let shape = shape_of(source).ok_or_else(unplayable)?;
        let channel = source.channel.parse::<Channel>().map_err(|_| unplayable())?;
        let adapter = providers::find(channel, &source.provider).ok_or_else(unplayable)?;
        let secrets: Vec<&str> = source.secrets.iter().map(ExposeSecret::expose_secret).collect();
        let scheme = ingest_gateway::sources::scheme(&source.scheme);
        let keyring = adapter.keyring(&secrets, &scheme).map_err(BenchError::Secrets)?;
        let path = format!("/v1/{}/{}", source.channel, source.name);
        let host = gateway.authority().map(http::uri::Authority::as_str).unwrap_or_default();
        let own = source.public_url.as_ref().map(|url| url.as_str().to_owned());
        let base = config.gateway.public_url.as_ref().map(|url| url.as_str().to_owned());
        let base = base.unwrap_or_else(|| format!("http://{host}"));
        Ok(Self {
            run,
            adapter,
            keyring,
            scheme,
            settings: SourceSettings {
                text_fields: source.text_field.clone(),
                id_field: source.id_field.clone(),
                id_header: source.id_header.clone(),
                max_body: source.max_body.unwrap_or(adapter.contract().max_body),
            },
            shape,
            public_url: own.unwrap_or_else(|| format!("{base}{path}")),
            path: path.parse().map_err(BenchError::Uri)?,
            host: host.parse().map_err(BenchError::Header)?,
            size,
            texts: (0..TEXTS).map(|seed| text(seed, size)).collect(),
        })
    }

    /// The request for a message, signed now.
    pub(crate) fn request(&self, message: Message) -> Result<Request<Full<Bytes>>, BenchError> {
        let name = self.run.name(message);
        let body = self.body(message);
        let mut headers = self.headers(&name);
        let now = Millis::from_unix(now_millis()).ok_or(BenchError::Clock)?;
        let unsigned = providers::Request {
            method: &Method::POST,
            url: &self.public_url,
            query: None,
            headers: &headers,
            body: &body,
        };
        let signed = self.adapter.sign(&unsigned, &self.keyring, &self.scheme, now).ok_or(BenchError::CannotSign)?;
        headers.extend(signed.headers);
        let body = signed.body.map_or(body, Bytes::from);
        let uri = match signed.query {
            Some(query) => format!("{}?{query}", self.path).parse().map_err(BenchError::Uri)?,
            None => self.path.clone(),
        };
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        let map = request.headers_mut();
        map.insert(header::HOST, self.host.clone());
        for (name, value) in headers {
            let name = HeaderName::try_from(name).map_err(|error| BenchError::Request(error.into()))?;
            map.append(name, HeaderValue::try_from(value).map_err(|error| BenchError::Request(error.into()))?);
        }
        Ok(request)
    }

    fn headers(&self, name: &str) -> Vec<Pair> {
        let content_type = match self.shape {
            Shape::Json | Shape::Meta => "application/json",
            Shape::Twilio => "application/x-www-form-urlencoded",
        };
        let mut headers = vec![pair("content-type", content_type), pair("user-agent", "penstock-bench")];
        match self.adapter.name() {
            "standard" => headers.push(pair("webhook-id", name)),
            "github" => headers.extend([pair("x-github-delivery", name), pair("x-github-event", "issues")]),
            _ => {}
        }
        if let Some(header) = &self.settings.id_header {
            headers.push(pair(header, name));
        }
        headers
    }

    /// The body for a message: of the wished size, or longer where its frame is.
    pub(crate) fn body(&self, message: Message) -> Bytes {
        let name = self.run.name(message);
        let (mut body, end) = match self.shape {
            Shape::Json => self.json(&name),
            Shape::Twilio => (
                format!(
                    "ToCountry=DE&MessageSid={name}&AccountSid=AC00000000000000000000000000000000&NumMedia=0\
                     &From=%2B4915112345678&To=%2B4930123456&NumSegments=1&Body="
                ),
                "",
            ),
            Shape::Meta => (
                format!(
                    r#"{{"object":"whatsapp_business_account","entry":[{{"id":"102290129340398","changes":[{{"value":{{"messaging_product":"whatsapp","metadata":{{"display_phone_number":"15550783881","phone_number_id":"106540352242922"}},"contacts":[{{"profile":{{"name":"Jane Doe"}},"wa_id":"16505551234"}}],"messages":[{{"from":"16505551234","id":"wamid.{name}","timestamp":"1749416383","type":"text","text":{{"body":""#
                ),
                r#""}}]},"field":"messages"}]}]}"#,
            ),
        };
        let text = self.texts.get(message.number as usize % TEXTS).map(String::as_str).unwrap_or_default();
        let room = self.size.saturating_sub(body.len() + end.len()).min(text.len());
        let text = text.get(..room).unwrap_or_default();
        if self.shape == Shape::Twilio {
            body.push_str(&text.replace(' ', "+"));
        } else {
            body.push_str(text);
        }
        body.push_str(end);
        body.into()
    }

    fn json(&self, name: &str) -> (String, &'static str) {
        let field = self.settings.text_fields.first().map_or("message", String::as_str);
        let mut body = format!(r#"{{"type":"bench.message","id":"{name}","#);
        if let Some(id_field) = self.settings.id_field.as_deref().filter(|field| *field != "id") {
            body.push_str(&nested(id_field, &format!("\"{name}\"")));
            body.push(',');
        }
        let empty = nested(field, "\"\"");
        // Up to the quote that opens the text; after the text come as many braces as the field has parents, and one.
        let (open, close) = empty.split_at(empty.find(r#""""#).map_or(empty.len(), |at| at + 1));
        let end = ["\"}", "\"}}", "\"}}}", "\"}}}}"].get(close.len().saturating_sub(1)).copied().unwrap_or("\"}");
        body.push_str(open);
        (body, end)
    }
}

/// `a.b` as `"a":{"b":value}`.
fn nested(path: &str, value: &str) -> String {
    match path.split_once('.') {
        Some((parent, child)) => format!("\"{parent}\":{{{}}}", nested(child, value)),
        None => format!("\"{path}\":{value}"),
    }
}

fn pair(name: &str, value: &str) -> Pair {
    (name.to_owned(), value.as_bytes().to_vec())
}

/// At least `size` bytes of words, the same for a seed for ever.
fn text(seed: usize, size: usize) -> String {
    let mut state = seed as u64 + 1;
    let mut text = String::with_capacity(size + 16);
    while text.len() < size {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let word = usize::try_from(state >> 40).unwrap_or_default() % WORDS.len();
        text.push_str(WORDS.get(word).copied().unwrap_or_default());
        text.push(' ');
    }
    text
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use providers::Verdict;

    const CONFIG: &str = r#"
        [[sources]]
        name = "contact"
        channel = "form"
        provider = "generic"
        text_field = "answers.note"
        id_field = "ref"

        [[sources]]
        name = "support"
        channel = "sms"
        provider = "twilio"
        secrets = [{ value = "token" }]

        [[sources]]
        name = "orders"
        channel = "webhook"
        provider = "standard"
        secrets = [{ value = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" }]
    "#;

    fn config() -> Config {
        let needs = runtime::config::Requirements {
            source_secrets: runtime::config::Need::Required,
            attachments: runtime::config::Need::Unused,
            ..runtime::config::Requirements::every(runtime::config::Need::Optional)
        };
        Config::parse_for(CONFIG, "penstock.toml", &runtime::config::Environment::default(), needs).unwrap()
    }

    /// A player of a source of the configuration above.
    pub(crate) fn player(name: &str) -> Player {
        let config = config();
        let source = choose(&config, Some(name)).unwrap();
        let gateway = Uri::from_static("http://127.0.0.1:8080");
        Player::new(Run::fixed(7), source, &config, &gateway, 1024).unwrap()
    }

    const MESSAGE: Message = Message { connection: 3, number: 99 };

    #[test]
    fn a_signed_source_is_taken_where_none_is_named() {
        assert_eq!(choose(&config(), None).unwrap().name, "orders");
        assert!(choose(&config(), Some("nobody")).is_err());
    }

    #[test]
    fn bodies_have_the_wished_size_and_hold_the_name() {
        for source in ["contact", "support", "orders"] {
            let body = player(source).body(MESSAGE);
            assert_eq!(body.len(), 1024, "{source}");
            assert!(String::from_utf8_lossy(&body).contains("00000007-3-99"), "{source}");
            assert_eq!(body, player(source).body(MESSAGE), "{source}: a repeat is the same bytes");
            assert_ne!(body, player(source).body(Message { number: 100, ..MESSAGE }), "{source}");
        }
    }

    #[test]
    fn fields_stand_where_the_source_reads_them() {
        let body: serde_json::Value = serde_json::from_slice(&player("contact").body(MESSAGE)).unwrap();
        assert_eq!(body["ref"], "00000007-3-99");
        assert!(body["answers"]["note"].as_str().unwrap().len() > 800);
        let body: serde_json::Value = serde_json::from_slice(&player("orders").body(MESSAGE)).unwrap();
        assert!(body["message"].as_str().unwrap().len() > 800);
    }

    #[tokio::test]
    async fn requests_verify() {
        for source in ["support", "orders"] {
            let player = player(source);
            let (parts, body) = player.request(MESSAGE).unwrap().into_parts();
            let body = http_body_util::BodyExt::collect(body).await.unwrap().to_bytes();
            let headers: Vec<Pair> =
                parts.headers.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect();
            let url = format!("http://127.0.0.1:8080/v1/{}/{source}", player.adapter.channel().as_str());
            let request =
                providers::Request { method: &parts.method, url: &url, query: None, headers: &headers, body: &body };
            let now = Millis::from_unix(now_millis()).unwrap();
            let verdict = player.adapter.authenticate(&request, &player.keyring, &player.scheme, now);
            assert!(!matches!(verdict, Verdict::Wrong(_)), "{source}: {verdict:?}");
        }
    }
}
