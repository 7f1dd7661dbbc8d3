//! The configured sources, each with everything a request for it needs: adapter, parsed secrets, limits, subjects.
//!
//! A table is built whole or not at all, so a reload with a mistake changes nothing. The limiters of what did not
//! change are handed on to the next table: a reload gives nobody a new budget.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use proto::subject::{self, SourceName};
use proto::{Channel, Millis};
use providers::{
    Adapter, Certificate, Contract, Handshake, Keyring, KeyringError, OverLimit, Request, Scheme, Verdict, Verify,
};
use runtime::config::{self, AuthFailures, Config, OnDuplicate, Problems, PublicUrl, Rate, Secret};
use runtime::error_chain::Chain;
use runtime::http_server::server_tls;
use rustls::ServerConfig;
use secrecy::ExposeSecret;

use crate::budget::Size;
use crate::client_names::ClientNames;
use crate::egress::Egress;
use crate::limits::PerAddress;
use crate::pseudonym::Pseudonyms;
use crate::redact::Fingerprints;
use crate::source_limits::PerSource;

/// Bytes of bodies in memory at once, where the configuration does not say and no source takes more than half of them.
const BODY_BUDGET: u64 = 64 * 1024 * 1024;
/// More than the head of a request that is let in has, with what is kept of it.
const HEAD: u64 = 32 * 1024;

/// A configured source.
#[derive(Debug)]
pub struct Source {
    /// Its name.
    pub name: SourceName,
    /// Its channel.
    pub channel: Channel,
    /// What is particular to its provider.
    pub adapter: &'static dyn Adapter,
    /// What becomes of a wrong signature.
    pub verify: Verify,
    /// What becomes of requests over its limit.
    pub over_limit: OverLimit,
    /// Whether a byte-identical request is answered with 409 instead of being stored.
    pub refuses_repeats: bool,
    /// Largest body, in bytes.
    pub max_body: u64,
    /// The whole URL its provider calls, where it is not the gateway's and the path.
    pub public_url: Option<PublicUrl>,
    /// Where its requests go.
    pub raw_subject: String,
    /// Where they go when their signature is wrong.
    pub held_subject: String,
    /// Headers whose values are secrets.
    pub secret_headers: Vec<String>,
    /// Headers that hold the sender's own id, in lower case.
    pub identity_headers: Vec<String>,
    /// Whose certificate it asks for.
    pub client_names: ClientNames,
    /// Its limits.
    pub limits: Arc<PerSource>,
    /// Its place in the table.
    pub index: usize,
    keyring: Keyring,
    scheme: Scheme,
    verify_token: Option<Secret>,
    rate: Rate,
}

impl Source {
    /// Where the certificate lies without which a request cannot be judged.
    pub fn certificate_url(&self, request: &Request<'_>) -> Option<String> {
        self.adapter.certificate_url(request, &self.keyring, &self.scheme)
    }

    /// Judges a request's signature, with the certificate that was fetched for it.
    pub fn authenticate(&self, request: &Request<'_>, certificate: Option<&Certificate>, now: Millis) -> Verdict {
        match certificate {
            None => self.adapter.authenticate(request, &self.keyring, &self.scheme, now),
            Some(certificate) => self.adapter.authenticate(request, &self.keyring.with(certificate), &self.scheme, now),
        }
    }

    /// The headers of a request that hold a signature where a credential usually is.
    pub fn signature_headers(&self, request: &Request<'_>) -> &'static [&'static str] {
        self.adapter.signature_headers(request, &self.scheme)
    }

    /// Answers a request that delivers nothing and only asks.
    pub fn handshake(&self, request: &Request<'_>) -> Option<Handshake> {
        self.adapter.handshake(request, self.verify_token.as_ref().map(ExposeSecret::expose_secret))
    }

    /// How many secrets are live.
    pub fn secrets(&self, config: &Config) -> usize {
        config.sources.get(self.index).map_or(0, |source| source.secrets.len())
    }
}

/// What URLs are made of that providers sign.
#[derive(Debug)]
pub struct PublicUrls {
    /// `gateway.public_url`.
    pub base: Option<PublicUrl>,
}

/// Everything that a reload replaces at once.
#[derive(Debug)]
pub struct Table {
    sources: Vec<Source>,
    by_name: HashMap<String, usize>,
    /// What URLs are made of.
    pub urls: PublicUrls,
    /// Peers whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Connections that an address may have at once.
    pub connections_per_address: usize,
    /// How long a body may take.
    pub body_timeout: Duration,
    /// Bytes of bodies in memory at once.
    pub body_budget: Size,
    /// How long storing may take, body and message together.
    pub publish_timeout: Duration,
    /// The limit on all requests of an address.
    pub requests: Arc<PerAddress>,
    /// The limit on failed authentications of an address.
    pub failures: Arc<PerAddress>,
    /// What stands for credentials.
    pub fingerprints: Fingerprints,
    /// What logs call clients.
    pub pseudonyms: Pseudonyms,
    /// How providers are reached.
    pub egress: Egress,
    /// What they are served with over TLS, where that is spoken here.
    pub tls: Option<Arc<ServerConfig>>,
    address_rate: Rate,
    failure_rate: AuthFailures,
}

impl Table {
    /// Builds the table, or says everything that is wrong with the sources. Limiters whose settings are those of
    /// `previous` are taken from it, with what is used up of them.
    pub fn build(config: &Config, previous: Option<&Self>) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let mut sources = Vec::with_capacity(config.sources.len());
        for (index, source) in config.sources.iter().enumerate() {
            match build_source(config, source, index, previous) {
                Ok(source) => sources.push(source),
                Err(more) => problems.append(more),
            }
        }
        let hash_key = config.dedup.hash_key.as_ref();
        if hash_key.is_none() {
            problems.append(Problems::at(&config.file, None, "dedup.hash_key", "is missing"));
        }
        let egress = match Egress::build(&config.gateway.egress) {
            Ok(egress) => egress,
            Err(error) => {
                problems.append(Problems::at(&config.file, None, error.key(), error.to_string()));
                return Err(problems);
            }
        };
        let tls = tls(config)?;
        problems.into_result()?;

        let largest = sources.iter().map(|source| source.max_body).max().unwrap_or(0);
        let limits = config.gateway.limits;
        let hash_key = hash_key.map_or("", |key| key.expose_secret()).as_bytes();
        let old_requests = previous.filter(|table| table.address_rate == limits.address);
        let old_failures = previous.filter(|table| table.failure_rate == limits.auth_failures);
        Ok(Self {
            by_name: sources.iter().map(|source| (source.name.as_str().to_owned(), source.index)).collect(),
            sources,
            urls: PublicUrls { base: config.gateway.public_url.clone() },
            trusted_proxies: config.gateway.trusted_proxies.clone(),
            connections_per_address: config.gateway.max_connections_per_address,
            body_timeout: config.gateway.body_timeout,
            body_budget: body_budget(&config.gateway, largest),
            publish_timeout: config.gateway.publish_timeout,
            requests: old_requests
                .map_or_else(|| Arc::new(PerAddress::requests(limits.address)), |table| Arc::clone(&table.requests)),
            failures: old_failures.map_or_else(
                || Arc::new(PerAddress::failures(limits.auth_failures)),
                |table| Arc::clone(&table.failures),
            ),
            fingerprints: Fingerprints::derive(hash_key),
            pseudonyms: Pseudonyms::derive(hash_key),
            egress,
            tls,
            address_rate: limits.address,
            failure_rate: limits.auth_failures,
        })
    }

    /// The source at `/v1/{channel}/{name}`.
    pub fn find(&self, channel: Channel, name: &str) -> Option<&Source> {
        let source = self.sources.get(*self.by_name.get(name)?)?;
        (source.channel == channel).then_some(source)
    }

    /// All sources, in the order of the file.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }
}

/// The largest body that a source takes, if the budget has room for one of it.
fn max_body(config: &Config, source: &config::Source, contract: &Contract) -> Result<u64, Problems> {
    let largest = source.max_body.unwrap_or(contract.max_body);
    let gateway = &config.gateway;
    let bounds = [("body_budget", gateway.body_budget), ("body_budget_per_address", gateway.body_budget_per_address)];
    for (setting, bound) in bounds {
        if let Some(bound) = bound.filter(|bound| largest > *bound) {
            let message = format!(
                "a body of {largest} bytes is never let in: set max_body to gateway.{setting} ({bound} bytes) or \
                 less, or raise that"
            );
            return Err(config.source_problem(source, "max_body", &message));
        }
    }
    Ok(largest)
}

/// The room for bodies, where the largest has so many bytes: for that one there is always room, with its head.
///
/// Three quarters of it for one address: a provider may send all that it has from one, and then needs most of the room;
/// the rest is there for somebody else, whoever fills his own, and has room for the largest, too.
fn body_budget(gateway: &config::Gateway, largest: u64) -> Size {
    let one = largest.saturating_add(HEAD);
    let all = gateway.body_budget.unwrap_or_else(|| BODY_BUDGET.max(one.saturating_mul(2))).max(one);
    let most = (all / 4 * 3).min(all.saturating_sub(one));
    let address = gateway.body_budget_per_address.unwrap_or(most).max(one);
    Size { all, address }
}

fn build_source(
    config: &Config,
    source: &config::Source,
    index: usize,
    previous: Option<&Table>,
) -> Result<Source, Problems> {
    let problem = |key: &str, message: &str| config.source_problem(source, key, message);
    let name = SourceName::parse(&source.name).map_err(|error| problem("name", &error.to_string()))?;
    let channel: Channel = source.channel.parse().map_err(|_| problem("channel", "is no channel"))?;
    let adapter = providers::find(channel, &source.provider)
        .ok_or_else(|| problem("provider", "is not supported by this version"))?;

    let scheme = scheme(&source.scheme);
    let secrets: Vec<&str> = source.secrets.iter().map(ExposeSecret::expose_secret).collect();
    let keyring = adapter.keyring(&secrets, &scheme).map_err(|error| problem(key_of(&error), &error.to_string()))?;
    let contract = adapter.contract();
    let limits = previous
        .and_then(|table| table.find(channel, &source.name))
        .filter(|old| old.rate == source.limit)
        .map_or_else(|| Arc::new(PerSource::new(&source.name, source.limit)), |old| Arc::clone(&old.limits));
    Ok(Source {
        verify: source.verify.map_or_else(|| contract.default_verify(), verify),
        over_limit: source.over_limit.map_or(contract.over_limit, over_limit),
        refuses_repeats: source.on_duplicate == OnDuplicate::Conflict,
        max_body: max_body(config, source, contract)?,
        public_url: source.public_url.clone(),
        raw_subject: subject::raw(channel, &name),
        held_subject: subject::held(channel, &name),
        identity_headers: adapter
            .identity_headers()
            .iter()
            .map(|name| (*name).to_owned())
            .chain(source.id_header.clone())
            .collect(),
        secret_headers: adapter.secret_headers(&scheme).into_iter().map(str::to_owned).collect(),
        client_names: client_names(config, source)?,
        limits,
        rate: source.limit,
        index,
        name,
        channel,
        adapter,
        keyring,
        scheme,
        verify_token: source.scheme.verify_token.clone(),
    })
}

fn client_names(config: &Config, source: &config::Source) -> Result<ClientNames, Problems> {
    let problem = |message: &str| config.source_problem(source, "client_names", message);
    let names = ClientNames::parse(&source.client_names);
    let names = names.map_err(|name| problem(&format!("{name:?} is neither a DNS name nor an IP address")))?;
    if !names.is_empty() && config.gateway.tls.client_ca.is_none() {
        return Err(problem("needs gateway.tls.client_ca: without it no certificate of a client is believed"));
    }
    Ok(names)
}

/// What TLS is spoken with, if it is.
fn tls(config: &Config) -> Result<Option<Arc<ServerConfig>>, Problems> {
    let problem = |key: &str, text: &str| Problems::at(&config.file, None, format!("gateway.tls.{key}"), text);
    let config::Tls { certificate, key, client_ca } = &config.gateway.tls;
    let (certificate, key) = match (certificate, key) {
        (Some(certificate), Some(key)) => (certificate.expose_secret(), key.expose_secret()),
        (None, None) if client_ca.is_none() => return Ok(None),
        (None, _) => return Err(problem("certificate", "is missing: without it no TLS is spoken")),
        (_, None) => return Err(problem("key", "is missing: without it no TLS is spoken")),
    };
    let tls = server_tls(certificate, key, client_ca.as_ref().map(ExposeSecret::expose_secret));
    tls.map(Some).map_err(|error| problem(error.key(), &Chain(&error).to_string()))
}

fn key_of(error: &KeyringError) -> &'static str {
    match error {
        KeyringError::Missing { .. } | KeyringError::Unfit { .. } => "secrets",
        KeyringError::Setting { setting, .. } | KeyringError::UnfitSetting { setting, .. } => setting,
    }
}

/// A source's scheme as adapters take it.
pub fn scheme(scheme: &config::Scheme) -> Scheme {
    Scheme {
        header: scheme.header.clone(),
        algorithm: scheme.algorithm.map(|algorithm| match algorithm {
            config::Algorithm::Md5Hash => providers::Algorithm::Md5Hash,
            config::Algorithm::Md5 => providers::Algorithm::Md5,
            config::Algorithm::Sha1 => providers::Algorithm::Sha1,
            config::Algorithm::Sha256 => providers::Algorithm::Sha256,
            config::Algorithm::Sha512 => providers::Algorithm::Sha512,
        }),
        encoding: scheme.encoding.map(|encoding| match encoding {
            config::Encoding::Hex => providers::Encoding::Hex,
            config::Encoding::Base64 => providers::Encoding::Base64,
        }),
        prefix: scheme.prefix.clone().unwrap_or_default(),
        timestamp_header: scheme.timestamp_header.clone(),
        tolerance_s: scheme.tolerance.map(|tolerance| tolerance.as_secs()),
        topics: scheme.topics.clone(),
    }
}

fn verify(verify: config::Verify) -> Verify {
    match verify {
        config::Verify::Enforce => Verify::Enforce,
        config::Verify::Observe => Verify::Observe,
        config::Verify::Hold => Verify::Hold,
    }
}

fn over_limit(over_limit: config::OverLimit) -> OverLimit {
    match over_limit {
        config::OverLimit::Reject => OverLimit::Reject,
        config::OverLimit::Accept => OverLimit::Accept,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::fmt::Write as _;

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use http::Method;
    use runtime::config::Environment;
    use serde_json::Value;

    use super::*;

    const BASE: &str = r#"
        nats.url = "nats://127.0.0.1:4222"
        postgres.url = "postgres://localhost/x"
        dedup.hash_key = { value = "test-key" }
        "#;

    const SOURCES: &str = r#"
        [[sources]]
        name = "contact"
        channel = "form"
        provider = "generic"

        [[sources]]
        name = "support"
        channel = "sms"
        provider = "twilio"
        secrets = [{ value = "test-secret" }]
        "#;

    fn config(sources: &str) -> Config {
        Config::parse(&format!("{BASE}{sources}"), "test.toml", &Environment::default()).unwrap()
    }

    pub(crate) fn table_of(sources: &str) -> Table {
        Table::build(&config(sources), None).unwrap()
    }

    pub(crate) fn table() -> Table {
        table_of(SOURCES)
    }

    #[test]
    fn defaults_come_from_what_the_provider_does() {
        let table = table();
        let sms = table.find(Channel::Sms, "support").unwrap();
        assert_eq!((sms.verify, sms.over_limit), (Verify::Hold, OverLimit::Accept));
        assert_eq!(sms.raw_subject, "raw.sms.support");
        let form = table.find(Channel::Form, "contact").unwrap();
        assert_eq!((form.verify, form.over_limit), (Verify::Enforce, OverLimit::Reject));
        assert!(table.find(Channel::Sms, "contact").is_none());
    }

    #[test]
    fn only_a_handshake_with_the_source_s_own_token_is_answered() {
        let table = table_of(
            r#"
            [[sources]]
            name = "chat"
            channel = "whatsapp"
            provider = "meta"
            secrets = [{ value = "s" }]
            verify_token = { value = "t0ken" }

            [[sources]]
            name = "tokenless"
            channel = "whatsapp"
            provider = "meta"
            secrets = [{ value = "s" }]
            "#,
        );
        let ask = |source: &str, method: &http::Method, query: &str| {
            let request = Request { method, url: "", query: Some(query), headers: &[], body: &[] };
            table.find(Channel::WhatsApp, source).unwrap().handshake(&request)
        };
        let query = "hub.mode=subscribe&hub.challenge=1744432606&hub.verify_token=t0ken";
        let get = http::Method::GET;
        assert_eq!(ask("chat", &get, query), Some(Handshake::echo("1744432606")));
        assert!(matches!(ask("chat", &get, &query.replace("t0ken", "other")), Some(Handshake::Refused(_))));
        assert!(matches!(ask("tokenless", &get, query), Some(Handshake::Refused(_))));
        assert_eq!(ask("chat", &http::Method::POST, query), None, "a message is never answered like a handshake");
        assert!(!format!("{table:?}").contains("t0ken"));
    }

    #[test]
    fn every_source_that_does_not_fit_its_provider_is_told_with_its_line() {
        let wrong = r#"
            [[sources]]
            name = "a"
            channel = "sms"
            provider = "twilio"

            [[sources]]
            name = "b"
            channel = "webhook"
            provider = "standard"
            secrets = [{ value = "whsec_not*base64" }]
            "#;
        let problems = Table::build(&config(wrong), None).unwrap_err();
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(lines.len(), 2, "{lines:#?}");
        assert!(lines[0].starts_with("test.toml:6: sources[0].secrets: "), "{}", lines[0]);
        assert!(lines[1].starts_with("test.toml:11: sources[1].secrets: "), "{}", lines[1]);
        assert!(!problems.to_string().contains("not*base64"), "a secret was printed");
    }

    #[test]
    fn a_source_takes_what_its_provider_sends_and_there_is_room_for_it() {
        let mail =
            "[[sources]]\nname = \"mail\"\nchannel = \"email\"\nprovider = \"mime\"\nsecrets = [{ value = \"s\" }]\n";
        let taken = |text: &str| {
            let table = table_of(text);
            let Size { all, address } = table.body_budget;
            (table.find(Channel::Email, "mail").unwrap().max_body, all, address)
        };
        // Whatever one address takes, another's largest has room.
        let one = (100 << 20) + HEAD;
        assert_eq!(taken(mail), (100 << 20, 2 * one, one));
        assert_eq!(taken(&format!("{mail}max_body = \"1 MiB\"")), (1 << 20, 64 << 20, 48 << 20));
        let gateway = |settings: &str| format!("{mail}[gateway]\n{settings}");
        assert_eq!(taken(&gateway("body_budget = \"100 MiB\"")), (100 << 20, one, one));
        assert_eq!(taken(&gateway("body_budget_per_address = \"100 MiB\"")), (100 << 20, 2 * one, one));
        assert_eq!(taken(&gateway("body_budget_per_address = \"1 GiB\"")), (100 << 20, 2 * one, 1 << 30));
        for setting in ["body_budget", "body_budget_per_address"] {
            let tight = gateway(&format!("{setting} = \"99 MiB\""));
            let problems = Table::build(&config(&tight), None).unwrap_err().to_string();
            let expected = "sources[0].max_body: a body of 104857600 bytes is never let in";
            assert!(problems.contains(expected) && problems.contains(&format!("gateway.{setting} (")), "{problems}");
        }
    }

    #[test]
    fn a_reload_gives_nobody_a_new_budget() {
        let old = table();
        let changed = format!("{SOURCES}limit = {{ per_second = 1, burst = 1 }}\ngateway.limits.address.burst = 7");
        let changed = changed.replace("gateway.limits", "[gateway]\nlimits");
        let new = Table::build(&config(&changed), Some(&old)).unwrap();
        let limits = |table: &Table, channel, name| Arc::clone(&table.find(channel, name).unwrap().limits);
        let kept = |channel, name| Arc::ptr_eq(&limits(&old, channel, name), &limits(&new, channel, name));
        assert!(kept(Channel::Form, "contact"));
        assert!(!kept(Channel::Sms, "support"), "its limit changed");
        assert!(!Arc::ptr_eq(&old.requests, &new.requests), "the limit per address changed");
        assert!(Arc::ptr_eq(&old.failures, &new.failures));
    }

    #[test]
    fn every_vector_of_the_configurable_schemes_is_judged_right_by_a_configured_source() {
        let vectors: Value = serde_json::from_str(include_str!("../../providers/tests/data/vectors.json")).unwrap();
        let schemes = [
            ("generic_hmac", "hmac"),
            ("generic_hmac_ts", "hmac"),
            ("bearer", "bearer"),
            ("api_key", "bearer"),
            ("basic_auth", "basic"),
        ];
        let mut judged = [0; 5];
        for vector in vectors.as_array().unwrap().iter().filter(|vector| vector["provider"] == "generic") {
            let index = schemes.iter().position(|(scheme, _)| vector["scheme"] == *scheme).unwrap();
            let table = table_of(&source_of(vector, schemes[index].1));
            let source = &table.sources()[0];
            let headers = vector["headers"].as_object().unwrap().iter();
            let headers: Vec<_> =
                headers.map(|(name, value)| (name.clone(), value.as_str().unwrap().as_bytes().to_vec())).collect();
            let body = STANDARD.decode(vector["body_base64"].as_str().unwrap()).unwrap();
            let request = Request { method: &Method::POST, url: "", query: None, headers: &headers, body: &body };
            let now = Millis::from_unix(vector["now"].as_i64().unwrap() * 1000).unwrap();
            let fits = matches!(source.authenticate(&request, None, now), Verdict::Fits { .. });
            assert_eq!(fits, vector["expect"] == "ok", "{}", vector["name"]);
            judged[index] += 1;
        }
        assert!(judged[1] >= 6, "those with a timestamp are among them: {judged:?}");
    }

    /// What an operator writes for the source that a vector was made for.
    fn source_of(vector: &Value, provider: &str) -> String {
        let mut text = format!("[[sources]]\nname = \"x\"\nchannel = \"webhook\"\nprovider = \"{provider}\"\n");
        let keys = ["secrets", "tokens", "values", "credentials"];
        let secrets = keys.iter().find_map(|name| vector["keys"][name].as_array()).unwrap().iter().map(|secret| {
            let secret = secret.as_str().map_or_else(
                || format!("{}:{}", secret[0].as_str().unwrap(), secret[1].as_str().unwrap()),
                str::to_owned,
            );
            format!("{{ value = {secret:?} }}")
        });
        writeln!(text, "secrets = [{}]", secrets.collect::<Vec<_>>().join(", ")).unwrap();
        let config = &vector["config"];
        let header = config["header"].as_str().or_else(|| vector["keys"]["header"].as_str());
        let encoding = config["encoding"].as_str().map(|encoding| if encoding == "b64" { "base64" } else { encoding });
        let settings = [
            ("header", header),
            ("algorithm", config["algorithm"].as_str()),
            ("encoding", encoding),
            ("prefix", config["prefix"].as_str().filter(|prefix| !prefix.is_empty())),
            ("timestamp_header", config["timestamp_header"].as_str()),
        ];
        for (name, value) in settings {
            if let Some(value) = value {
                writeln!(text, "{name} = {value:?}").unwrap();
            }
        }
        if let Some(seconds) = config["tolerance_s"].as_u64() {
            writeln!(text, "tolerance = \"{seconds}s\"").unwrap();
        }
        text
    }
}
