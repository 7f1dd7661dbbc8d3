//! What the tests share: the sample data, and requests made of it.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Method;
use proto::header::Pair;
use proto::subject::SourceName;
use proto::{Channel, Millis, RawEnvelope, Verified};
use providers::{Adapter, Algorithm, Encoding, Keyring, RawRequest, Request, Scheme};
use serde_json::Value;

/// What a source takes where its configuration does not say.
pub(crate) const MAX_BODY: u64 = 1024 * 1024;

/// The file of this name in `tests/data`.
pub(crate) fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// The JSON file of this name in `tests/data`.
pub(crate) fn json(name: &str) -> Value {
    let path = data(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The text at a JSON pointer.
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// A request that owns what [`Request`] borrows.
#[derive(Clone, Debug)]
pub(crate) struct Owned {
    pub(crate) method: Method,
    pub(crate) url: String,
    pub(crate) headers: Vec<Pair>,
    pub(crate) body: Bytes,
}

impl Owned {
    pub(crate) fn post(content_type: &str, body: impl Into<Bytes>) -> Self {
        Self {
            method: Method::POST,
            url: "https://in.example.com/v1/webhook/test".to_owned(),
            headers: vec![("content-type".to_owned(), content_type.as_bytes().to_vec())],
            body: body.into(),
        }
    }

    /// One made of a vector or an entry of the index.
    pub(crate) fn of(value: &Value, body: impl Into<Bytes>) -> Self {
        let headers = value["headers"].as_object().into_iter().flatten();
        Self {
            method: text(value, "/method").parse().unwrap(),
            url: text(value, "/url").to_owned(),
            headers: headers.map(|(name, value)| (name.clone(), value.as_str().unwrap().as_bytes().to_vec())).collect(),
            body: body.into(),
        }
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.as_bytes().to_vec()));
        self
    }

    pub(crate) fn query(&self) -> Option<&str> {
        self.url.split_once('?').map(|(_, query)| query)
    }

    pub(crate) fn as_request(&self) -> Request<'_> {
        Request { method: &self.method, url: &self.url, query: self.query(), headers: &self.headers, body: &self.body }
    }

    /// As the normalizer sees it.
    pub(crate) fn as_raw(&self, adapter: &dyn Adapter, verified: Verified) -> RawRequest {
        RawRequest {
            envelope: RawEnvelope {
                id: uuid::Uuid::from_u128(7),
                received_at: Millis::from_unix(1_785_564_409_000).unwrap(),
                method: self.method.to_string(),
                query: self.query().map(str::to_owned),
                provider: adapter.name().to_owned(),
                verified,
                headers: self.headers.clone(),
                body: None,
                replay: None,
                traceparent: None,
            },
            channel: adapter.channel(),
            source: SourceName::parse("test").unwrap(),
            body: self.body.clone(),
            raw_sequence: 42,
        }
    }
}

/// A source as a vector or the secrets file describes it.
pub(crate) struct Source {
    pub(crate) adapter: &'static dyn Adapter,
    pub(crate) scheme: Scheme,
    pub(crate) keyring: Keyring,
}

impl Source {
    pub(crate) fn new(channel: Channel, provider: &str, secrets: &[&str], scheme: Scheme) -> Self {
        let adapter = providers::find(channel, provider).unwrap_or_else(|| panic!("no adapter {channel}/{provider}"));
        let keyring = adapter.keyring(secrets, &scheme).unwrap();
        Self { adapter, scheme, keyring }
    }

    /// The source that a vector was made for; `None` where it could not be configured so, because a secret is empty.
    pub(crate) fn of_vector(vector: &Value) -> Option<Self> {
        let (channel, provider) = match (text(vector, "/provider"), text(vector, "/scheme")) {
            ("twilio", _) => (Channel::Sms, "twilio"),
            ("twilio_whatsapp", _) => (Channel::WhatsApp, "twilio"),
            ("whatsapp_cloud", _) => (Channel::WhatsApp, "meta"),
            ("vonage", "vonage_sms_sig") => (Channel::Sms, "vonage"),
            ("vonage", "vonage_jwt") => (Channel::Sms, "vonage-messages"),
            ("messagebird", "messagebird_jwt" | "messagebird_legacy_hmac") => (Channel::Sms, "messagebird"),
            ("messagebird", "bird_hmac") => (Channel::Sms, "bird"),
            ("360dialog", _) => (Channel::WhatsApp, "360dialog"),
            ("plivo", _) => (Channel::Sms, "plivo"),
            ("sinch", _) => (Channel::Sms, "sinch"),
            ("raw_mime", _) => (Channel::Email, "mime"),
            ("ses_sns", _) => (Channel::Email, "ses"),
            ("form_generic", _) => (Channel::Form, "generic"),
            ("typeform", _) => (Channel::Form, "typeform"),
            ("tally", _) => (Channel::Form, "tally"),
            ("standard_webhooks", _) => (Channel::Webhook, "standard"),
            ("cloudevents", _) => (Channel::Webhook, "cloudevents"),
            ("github", _) => (Channel::Webhook, "github"),
            ("sendgrid", _) => (Channel::Email, "sendgrid"),
            ("mailgun", _) => (Channel::Email, "mailgun"),
            ("postmark", _) => (Channel::Email, "postmark"),
            (_, "bearer" | "api_key") => (Channel::Webhook, "bearer"),
            (_, "basic_auth") => (Channel::Webhook, "basic"),
            (_, "generic_hmac" | "generic_hmac_ts") => (Channel::Webhook, "hmac"),
            other => panic!("no adapter for {other:?}"),
        };
        let secrets = secrets(&vector["keys"]);
        let secrets: Vec<&str> = secrets.iter().map(String::as_str).collect();
        (!secrets.contains(&"")).then(|| Self::new(channel, provider, &secrets, scheme(vector)))
    }
}

/// The secrets of a vector's source, as they would be written into a configuration.
pub(crate) fn secrets(keys: &Value) -> Vec<String> {
    if keys["verify_token"].is_string() {
        // A handshake has nothing to do with the secrets, and no source is without one.
        return vec!["unused".to_owned()];
    }
    if let Some(certificate) = keys["signing_cert_pem"].as_str() {
        return vec![certificate.to_owned()];
    }
    let lists = [
        "secrets",
        "auth_tokens",
        "signature_secrets",
        "signing_keys",
        "shared_key_secrets",
        "tokens",
        "values",
        "credentials",
        "app_secrets",
        "platform_secrets",
        "public_keys_spki_der_base64",
        "webhook_signing_keys",
    ];
    let list = lists.iter().find_map(|name| keys[name].as_array()).unwrap_or_else(|| panic!("no secrets in {keys}"));
    let one = |value: &Value| match value {
        Value::Array(pair) => format!("{}:{}", pair[0].as_str().unwrap(), pair[1].as_str().unwrap()),
        value => value.as_str().unwrap().to_owned(),
    };
    list.iter().map(one).collect()
}

fn scheme(vector: &Value) -> Scheme {
    let config = &vector["config"];
    let header = config["header"].as_str().or_else(|| vector["keys"]["header"].as_str());
    // V2 counts only where it is asked for.
    let header = if text(vector, "/scheme") == "plivo_v2" { Some("X-Plivo-Signature-V2") } else { header };
    Scheme {
        header: header.map(str::to_owned),
        algorithm: match (text(vector, "/scheme"), text(config, "/algorithm")) {
            ("vonage_sms_sig", _) => Some(vonage_method(text(vector, "/keys/signature_method"))),
            ("twilio_sharedkey", _) | (_, "sha256") => Some(Algorithm::Sha256),
            (_, "sha1") => Some(Algorithm::Sha1),
            (_, "sha512") => Some(Algorithm::Sha512),
            _ => None,
        },
        encoding: (text(config, "/encoding") == "b64").then_some(Encoding::Base64),
        prefix: text(config, "/prefix").to_owned(),
        timestamp_header: config["timestamp_header"].as_str().map(str::to_owned),
        topics: vector["keys"]["allowed_topic_arns"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|arn| arn.as_str().unwrap().to_owned())
            .collect(),
        tolerance_s: vector["tolerance_s"].as_u64().or_else(|| config["tolerance_s"].as_u64()),
    }
}

/// Whether a vector is about a handshake, which the gateway answers before anything is verified.
pub(crate) fn is_handshake(vector: &Value) -> bool {
    text(vector, "/scheme").ends_with("_handshake") || text(vector, "/expect") == "handshake"
}

/// A signature method of a Vonage account.
pub(crate) fn vonage_method(name: &str) -> Algorithm {
    serde_json::from_value(Value::String(name.to_owned())).unwrap()
}

/// The body of a vector.
pub(crate) fn body(vector: &Value) -> Bytes {
    STANDARD.decode(text(vector, "/body_base64")).unwrap().into()
}

/// The moment that a vector or a payload is judged at.
pub(crate) fn now(value: &Value) -> Millis {
    Millis::from_unix(value["now"].as_i64().unwrap() * 1000).unwrap()
}
