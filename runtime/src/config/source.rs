//! `[[sources]]`: who may send, how they prove it, and what happens to what they send.

use std::collections::BTreeMap;
use std::time::Duration;

use super::format::{duration, header_name, name, one_of, size, text, text_that, whole_url};
use super::gateway::Rate;
use super::public_url::PublicUrl;
use super::reader::Reader;
use super::reading::nearest;
use super::requirements::Need;
use super::retention::{Retention, shorter};
use super::scheme::Scheme;
use super::secret::Secret;

/// The channels, which are the first part of every source's path.
pub const CHANNELS: [&str; 5] = ["email", "sms", "whatsapp", "form", "webhook"];

/// Channel and provider of every adapter there is.
pub const PROVIDERS: &[(&str, &str)] = &[
    ("sms", "twilio"),
    ("sms", "vonage"),
    ("sms", "vonage-messages"),
    ("sms", "messagebird"),
    ("sms", "bird"),
    ("sms", "sinch"),
    ("sms", "plivo"),
    ("whatsapp", "meta"),
    ("whatsapp", "360dialog"),
    ("whatsapp", "twilio"),
    ("email", "sendgrid"),
    ("email", "mailgun"),
    ("email", "postmark"),
    ("email", "ses"),
    ("email", "mime"),
    ("form", "generic"),
    ("form", "typeform"),
    ("form", "tally"),
    ("form", "jotform"),
    ("webhook", "standard"),
    ("webhook", "github"),
    ("webhook", "hmac"),
    ("webhook", "bearer"),
    ("webhook", "basic"),
    ("webhook", "none"),
    ("webhook", "cloudevents"),
];

/// One sender: `POST /v1/{channel}/{name}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The line its table begins at, for whoever finds something wrong with it later. `None` where
    /// it comes from the environment. Two sources that differ only in this are not equal.
    pub line: Option<usize>,
    /// `[a-z0-9-]{1,64}`, unique.
    pub name: String,
    /// One of [`CHANNELS`].
    pub channel: String,
    /// With the channel, one of [`PROVIDERS`].
    pub provider: String,
    /// Whatever the scheme verifies with, the newest first; several may be live at once. Empty
    /// where the process does not use them. Default none.
    pub secrets: Vec<Secret>,
    /// What becomes of a wrong signature. `None` is the provider's default.
    pub verify: Option<Verify>,
    /// Requests of this source. Default 100 a second and 200 at once.
    pub limit: Rate,
    /// What becomes of a request over the limit. `None` is the provider's default.
    pub over_limit: Option<OverLimit>,
    /// How a byte-identical request is answered. Default `accept`.
    pub on_duplicate: OnDuplicate,
    /// What makes a message of this source a repeat.
    pub dedup: SourceDedup,
    /// How long its rows are kept. From `retention.raw` to `retention.messages`, which is without it. `None` is that of its
    /// channel, or else of all.
    pub retention: Option<Duration>,
    /// Largest body. 1 KiB to 100 MiB. `None` is the largest that the provider sends.
    pub max_body: Option<u64>,
    /// The whole URL the provider calls, where it is not `gateway.public_url` and the path.
    pub public_url: Option<PublicUrl>,
    /// The fields that may hold the text, the first that is there counts. Empty is the provider's
    /// default.
    pub text_field: Vec<String>,
    /// The field that holds the sender's own id of the message. Default none.
    pub id_field: Option<String>,
    /// The header that holds it, in lower case. Default none.
    pub id_header: Option<String>,
    /// Names of which a client's certificate has to hold one. Empty: none is asked for.
    pub client_names: Vec<String>,
    /// How the signature is made.
    pub scheme: Scheme,
}

/// What makes a message of one source a repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceDedup {
    /// Default `auto`.
    pub policy: DedupPolicy,
    /// 1 s to 400 d. `None` is `dedup.window` or `dedup.content_window`, by what the key is made of.
    pub window: Option<Duration>,
}

/// What becomes of a request whose signature is missing or wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verify {
    /// It is refused.
    Enforce,
    /// It is accepted and counted.
    Observe,
    /// It is kept aside until it is released.
    Hold,
}

/// What becomes of a request over its source's limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OverLimit {
    /// It is refused.
    Reject,
    /// It is accepted, up to ten times the limit.
    Accept,
}

/// How a byte-identical request is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDuplicate {
    /// 200, and stored.
    Accept,
    /// 409, and not stored.
    Conflict,
}

/// What a key is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DedupPolicy {
    /// The provider's own id, or else the content.
    Auto,
    /// The content.
    Content,
    /// Nothing: only redeliveries are repeats.
    Off,
}

const VERIFY: &[(&str, Verify)] = &[("enforce", Verify::Enforce), ("observe", Verify::Observe), ("hold", Verify::Hold)];
const OVER_LIMIT: &[(&str, OverLimit)] = &[("reject", OverLimit::Reject), ("accept", OverLimit::Accept)];
const ON_DUPLICATE: &[(&str, OnDuplicate)] = &[("accept", OnDuplicate::Accept), ("conflict", OnDuplicate::Conflict)];
const POLICIES: &[(&str, DedupPolicy)] =
    &[("auto", DedupPolicy::Auto), ("content", DedupPolicy::Content), ("off", DedupPolicy::Off)];

/// What sources are checked against beside themselves.
pub(super) struct Checks {
    /// Whether their secrets are looked up.
    pub(super) secrets: Need,
    /// What a source's own retention is held to.
    pub(super) retention: Retention,
    /// Names so far, with their lines.
    pub(super) names: BTreeMap<String, Option<usize>>,
}

impl Source {
    pub(super) fn read(reader: &mut Reader<'_, '_>, checks: &mut Checks) -> Self {
        let channel =
            text_that("email, sms, whatsapp, form, webhook", one_of_channels(), |text| CHANNELS.contains(&text));
        // Checked once its channel is known.
        let provider = text_that("one of its channel's", "the name of a provider", |text| !text.is_empty());
        let source = Self {
            line: reader.line(),
            name: reader.required("name", &name()),
            channel: reader.required("channel", &channel),
            provider: reader.required("provider", &provider),
            secrets: reader.secrets("secrets", checks.secrets),
            verify: reader.optional("verify", &one_of(VERIFY)),
            limit: reader.table("limit", |reader| Rate::read(reader, "100", "200")),
            over_limit: reader.optional("over_limit", &one_of(OVER_LIMIT)),
            on_duplicate: reader.or("on_duplicate", "accept", &one_of(ON_DUPLICATE)),
            dedup: reader.table("dedup", SourceDedup::read),
            retention: reader.left_open("retention", "that of its channel", &shorter()),
            max_body: reader.left_open("max_body", "the provider's", &size("1 KiB", "100 MiB")),
            public_url: reader.optional("public_url", &whole_url()),
            text_field: reader.one_or_more("text_field", &text()),
            id_field: reader.optional("id_field", &text()),
            id_header: reader.optional("id_header", &header_name()),
            client_names: reader.one_or_more("client_names", &text()),
            scheme: Scheme::read(reader, checks.secrets),
        };
        source.check(reader, checks);
        source
    }

    fn check(&self, reader: &mut Reader<'_, '_>, checks: &mut Checks) {
        let known = CHANNELS.contains(&&*self.channel) && !self.provider.is_empty();
        if known && !PROVIDERS.contains(&(&self.channel, &self.provider)) {
            reader.problem("provider", no_such_provider(&self.channel, &self.provider));
        }
        if let Some(wrong) = self.retention.and_then(|time| checks.retention.objection_of_source(&self.channel, time)) {
            reader.problem("retention", wrong);
        }
        if self.name.is_empty() {
            return;
        }
        if let Some(line) = checks.names.insert(self.name.clone(), self.line) {
            let first = line.map_or_else(String::new, |line| format!(", first on line {line}"));
            let message = format!("two sources have the name {:?}{first}", self.name);
            reader.problem("name", message);
        }
    }
}

impl SourceDedup {
    fn read(reader: &mut Reader<'_, '_>) -> Self {
        Self {
            policy: reader.or("policy", "auto", &one_of(POLICIES)),
            window: reader.optional("window", &duration("1s", "400d")),
        }
    }
}

fn one_of_channels() -> String {
    format!("one of {}", CHANNELS.join(", "))
}

fn no_such_provider(channel: &str, provider: &str) -> String {
    let here = || PROVIDERS.iter().filter(|(other, _)| *other == channel).map(|(_, name)| *name);
    let supported = format!("supported for {channel}: {}", here().collect::<Vec<_>>().join(", "));
    match nearest(provider, here()) {
        Some(near) => format!("unknown provider {provider:?}; did you mean {near}? {supported}"),
        None => format!("unknown provider {provider:?}; {supported}"),
    }
}
