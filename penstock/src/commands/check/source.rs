//! What a source will do, in words, and what its owner should know. Pure.

use persister::retention::kept::Kept;
use providers::{Adapter, Contract, Reaction, Verify};
use runtime::config::{Config, DedupPolicy, OverLimit, Source};
use secrecy::ExposeSecret as _;
use serde::Serialize;

use crate::commands::out;

/// A source, as `check` shows it.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Described {
    pub(crate) name: String,
    /// Each property with its value, in the order in which they are shown.
    #[serde(serialize_with = "as_object")]
    pub(crate) properties: Vec<(&'static str, String)>,
    pub(crate) warnings: Vec<String>,
}

fn as_object<S: serde::Serializer>(properties: &[(&str, String)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(properties.iter().map(|(name, value)| (name.replace(' ', "_"), value)))
}

/// Describes a source whose adapter is there.
pub(crate) fn describe(config: &Config, source: &Source, adapter: &'static dyn Adapter) -> Described {
    let contract = adapter.contract();
    let verify = verify_in_force(source, contract);
    let methods: Vec<&str> = contract.methods.iter().map(http::Method::as_str).collect();
    let mut properties = vec![
        ("url", url(config, source)),
        ("provider", format!("{} ({})", source.provider, methods.join(", "))),
        ("verify", verify_in_words(source, verify)),
        ("secrets", secrets(source)),
        ("limit", limit(source, contract)),
        ("repeats", repeats(config, source)),
        ("rows", rows(config, source)),
        ("largest body", out::bytes(source.max_body.unwrap_or(contract.max_body))),
        ("on 401", reaction(contract.on_401).to_owned()),
        ("on 429", reaction(contract.on_429).to_owned()),
        ("its retries", contract.retries.to_owned()),
    ];
    properties.extend(asks(config, source).map(|asks| ("asks", asks)));
    Described { name: source.name.clone(), properties, warnings: warnings(config, source, adapter, verify) }
}

fn verify_in_force(source: &Source, contract: &Contract) -> Verify {
    match source.verify {
        Some(runtime::config::Verify::Enforce) => Verify::Enforce,
        Some(runtime::config::Verify::Observe) => Verify::Observe,
        Some(runtime::config::Verify::Hold) => Verify::Hold,
        None => contract.default_verify(),
    }
}

/// What to tell the provider to call.
fn url(config: &Config, source: &Source) -> String {
    if let Some(whole) = &source.public_url {
        return without_credentials(whole.as_str());
    }
    let path = format!("/v1/{}/{}", source.channel, source.name);
    match &config.gateway.public_url {
        Some(base) => without_credentials(&format!("{}{path}", base.as_str())),
        None => format!("{path}, at whatever address the gateway ({}) is reached by", config.gateway.listen),
    }
}

/// A URL may hold what the provider was given to sign in with; that is not for a screen.
pub(crate) fn without_credentials(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let shown = authority.rsplit_once('@').map_or_else(|| authority.to_owned(), |(_, host)| format!("***@{host}"));
    let path = path.split_once('?').map_or_else(|| path.to_owned(), |(path, _)| format!("{path}?***"));
    format!("{scheme}://{shown}{path}")
}

fn verify_in_words(source: &Source, verify: Verify) -> String {
    let what = match verify {
        Verify::Enforce => "enforce: a wrong signature is answered with 401",
        Verify::Observe => "observe: a wrong signature is let in and counted",
        Verify::Hold => "hold: a wrong signature is kept aside, until `penstock held release`",
    };
    if source.verify.is_some() { what.to_owned() } else { format!("{what} (this provider's default)") }
}

/// Whether the provider signs with a key of its own, which is no secret of the source.
fn signs_for_itself(source: &Source) -> bool {
    (source.channel.as_str(), source.provider.as_str()) == ("email", "ses")
}

/// What the gateway asks the provider for, where it asks for anything.
fn asks(config: &Config, source: &Source) -> Option<String> {
    if !signs_for_itself(source) {
        return None;
    }
    let is_pinned = source.secrets.iter().any(|secret| secret.expose_secret().trim_start().starts_with("-----BEGIN "));
    let certificate = if is_pinned { "no certificate (it is in `secrets`)" } else { "the signer's certificate" };
    let way = if config.gateway.egress.proxy.is_some() { "by gateway.egress.proxy" } else { "directly" };
    let topics = source.scheme.topics.join(", ");
    Some(format!(
        "https://sns.<region>.amazonaws.com, {way}: {certificate}, and to confirm the subscription to {topics}"
    ))
}

fn secrets(source: &Source) -> String {
    match source.secrets.len() {
        0 => "none".to_owned(),
        1 => "1".to_owned(),
        number => format!("{number} live at once"),
    }
}

fn limit(source: &Source, contract: &Contract) -> String {
    let over = match source.over_limit {
        Some(OverLimit::Reject) => providers::OverLimit::Reject,
        Some(OverLimit::Accept) => providers::OverLimit::Accept,
        None => contract.over_limit,
    };
    let status = contract.over_limit_status().as_u16();
    let over = match over {
        providers::OverLimit::Reject => format!("beyond: {status}"),
        providers::OverLimit::Accept => format!("beyond: accepted, up to ten times as many, then {status}"),
    };
    format!("{} a second, {} at once; {over}", source.limit.per_second, source.limit.burst)
}

fn repeats(config: &Config, source: &Source) -> String {
    let words = out::set_time;
    let own = source.dedup.window;
    let by_id = words(own.unwrap_or(config.dedup.window));
    let by_content = |own: Option<_>| words(own.unwrap_or(config.dedup.content_window));
    match source.dedup.policy {
        DedupPolicy::Auto => {
            format!("auto: by the provider's id for {by_id}; without one by content for {}", by_content(None))
        }
        DedupPolicy::Content => format!("content: equal content within {}", by_content(own)),
        DedupPolicy::Off => format!("off: only what the gateway took in once and a stage delivers again, for {by_id}"),
    }
}

fn rows(config: &Config, source: &Source) -> String {
    let Some(time) = Kept::of(config).time(&source.channel, &source.name) else {
        return "kept for ever".to_owned();
    };
    let whose = if source.retention.is_some() {
        "retention of the source"
    } else if config.retention.channels.contains_key(source.channel.as_str()) {
        "retention of its channel"
    } else {
        "by whole months"
    };
    format!("kept for {} ({whose})", out::set_time(time))
}

fn reaction(reaction: Reaction) -> &'static str {
    match reaction {
        Reaction::Retries => "sends it again later",
        Reaction::GivesUp => "gives up: the message is lost",
        Reaction::Unknown => "depends on the sender",
    }
}

fn warnings(config: &Config, source: &Source, adapter: &'static dyn Adapter, verify: Verify) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut warn = |holds: bool, text: &str| {
        if holds {
            warnings.push(text.to_owned());
        }
    };
    let no_url = source.public_url.is_none() && config.gateway.public_url.is_none();
    warn(
        no_url && matches!(source.provider.as_str(), "twilio" | "plivo"),
        "the provider signs the URL that it calls: set `gateway.public_url`, or behind a proxy every signature is wrong",
    );
    warn(
        source.provider == "plivo" && source.scheme.header.is_some(),
        "V2 signatures cover neither body nor query: whoever has seen one can post anything under it",
    );
    warn(
        (source.channel.as_str(), source.provider.as_str()) == ("whatsapp", "meta")
            && source.scheme.verify_token.is_none(),
        "no `verify_token`: Meta's handshake is refused, so this address cannot be entered in its console",
    );
    let is_signed = !source.secrets.is_empty() || signs_for_itself(source);
    warn(!is_signed, "no secret: whoever knows the URL can post here");
    warn(verify == Verify::Observe && is_signed, "`verify = \"observe\"` lets forged requests in");
    warn(
        verify == Verify::Enforce && adapter.contract().on_401 == Reaction::GivesUp,
        "`verify = \"enforce\"` loses messages while a secret is wrong: this provider does not send them again",
    );
    warn(
        source.dedup.policy == DedupPolicy::Content,
        "repeats are told by content, which is a guess: two equal messages within the window become one row",
    );
    let generic = matches!(source.provider.as_str(), "generic" | "hmac" | "bearer" | "basic" | "none");
    let has_id = source.id_field.is_some() || source.id_header.is_some();
    warn(
        generic && !has_id && source.dedup.policy == DedupPolicy::Auto,
        "the sender's own id is not named (`id_field` or `id_header`), so repeats are told by content, which is a guess",
    );
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime::config::{Environment, Need, Requirements};

    fn described(source: &str) -> Described {
        let text = format!("[[sources]]\nname = 's'\n{source}");
        let config =
            Config::parse_for(&text, "t.toml", &Environment::default(), Requirements::every(Need::Optional)).unwrap();
        let source = &config.sources[0];
        let adapter = providers::find(source.channel.parse().unwrap(), &source.provider).unwrap();
        describe(&config, source, adapter)
    }

    fn property(described: &Described, name: &str) -> String {
        described.properties.iter().find(|(key, _)| *key == name).unwrap().1.clone()
    }

    const TWILIO: &str = "channel = 'sms'\nprovider = 'twilio'\nsecrets = [{ value = 'x' }, { value = 'y' }]";

    #[test]
    fn a_source_says_what_it_will_do() {
        let twilio = described(TWILIO);
        assert!(property(&twilio, "verify").starts_with("hold") && property(&twilio, "verify").contains("default"));
        assert_eq!(property(&twilio, "secrets"), "2 live at once");
        assert!(property(&twilio, "limit").contains("up to ten times as many, then 503"), "{twilio:?}");
        assert!(property(&twilio, "repeats").contains("for 8 days"), "{twilio:?}");
        assert!(twilio.warnings.iter().any(|warning| warning.contains("public_url")));
    }

    #[test]
    fn how_long_rows_are_kept_is_said_and_by_whom() {
        let rows = |source: &str| property(&described(source), "rows");
        assert_eq!(rows(TWILIO), "kept for 400 days (by whole months)");
        assert_eq!(rows(&format!("{TWILIO}\nretention = '30d'")), "kept for 30 days (retention of the source)");
        let of_channel = format!("{TWILIO}\n[retention.channels]\nsms = '36h'");
        assert_eq!(
            rows(&format!("{of_channel}\n[retention]\nraw = '1d'")),
            "kept for 1 day 12h (retention of its channel)"
        );
        assert_eq!(rows(&format!("{TWILIO}\n[retention]\nmessages = 'forever'")), "kept for ever");
    }

    #[test]
    fn what_loses_or_lets_in_messages_is_warned_of() {
        let warned = |source: &str, piece: &str| {
            let warnings = described(source).warnings;
            assert!(warnings.iter().any(|warning| warning.contains(piece)), "{piece}: {warnings:?}");
        };
        warned(&format!("{TWILIO}\nverify = 'enforce'"), "loses messages");
        warned(&format!("{TWILIO}\nverify = 'observe'"), "forged");
        warned(&format!("{TWILIO}\ndedup = {{ policy = 'content' }}"), "guess");
        warned("channel = 'form'\nprovider = 'generic'", "whoever knows the URL");
        warned("channel = 'webhook'\nprovider = 'bearer'\nsecrets = [{ value = 'x' }]", "id_field");
        warned("channel = 'whatsapp'\nprovider = 'meta'\nsecrets = [{ value = 'x' }]", "verify_token");
        let quiet = "channel = 'webhook'\nprovider = 'standard'\nsecrets = [{ value = 'C2FVsBQIhrscChlQ' }]";
        assert_eq!(described(quiet).warnings, Vec::<String>::new());
    }

    #[test]
    fn what_the_gateway_asks_of_a_provider_is_said() {
        let ses = "channel = 'email'\nprovider = 'ses'\ntopics = ['arn:aws:sns:eu-west-1:1:t']\n";
        let fetching = described(ses);
        assert!(
            property(&fetching, "asks").contains("directly: the signer's certificate, and to confirm"),
            "{fetching:?}"
        );
        assert!(property(&fetching, "asks").ends_with("arn:aws:sns:eu-west-1:1:t"), "{fetching:?}");
        assert_eq!(fetching.warnings, Vec::<String>::new());
        let pinned = described(&format!("{ses}secrets = [{{ value = '-----BEGIN PUBLIC KEY-----' }}]"));
        assert!(property(&pinned, "asks").contains("no certificate"), "{pinned:?}");
        assert!(!described(TWILIO).properties.iter().any(|(name, _)| *name == "asks"));
        let observing = described(&format!("{ses}verify = 'observe'"));
        assert!(observing.warnings[0].contains("forged"), "{observing:?}");
    }

    #[test]
    fn a_url_shows_neither_user_nor_key() {
        assert_eq!(without_credentials("https://u:p@a.example/x?key=s"), "https://***@a.example/x?***");
        assert_eq!(without_credentials("https://a.example/v1/sms/s"), "https://a.example/v1/sms/s");
    }
}
