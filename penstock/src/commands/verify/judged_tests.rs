//! What is said of whole requests: verdict, findings and next steps, and that no secret is ever in them.

use proto::Verified;
use runtime::config::{Environment, Need, Requirements};

use super::*;

const SOURCES: &str = r#"
    gateway.public_url = "https://in.example.com"
    dedup.hash_key = { value = "test-key" }
    [[sources]]
    name = "support"
    channel = "sms"
    provider = "twilio"
    secrets = [{ value = "test-secret" }]
    [[sources]]
    name = "orders"
    channel = "webhook"
    provider = "github"
    secrets = [{ value = "canary-live" }]
    [[sources]]
    name = "orders-test"
    channel = "webhook"
    provider = "github"
    secrets = [{ value = "canary-test" }]
    [[sources]]
    name = "chat"
    channel = "whatsapp"
    provider = "meta"
    secrets = [{ value = "canary-meta" }]
    verify_token = { value = "canary-token" }
    [[sources]]
    name = "keyed"
    channel = "webhook"
    provider = "bearer"
    secrets = [{ value = "canary-key" }]
    [[sources]]
    name = "jwt"
    channel = "sms"
    provider = "vonage-messages"
    secrets = [{ value = "canary-jwt" }]
    [[sources]]
    name = "timed"
    channel = "webhook"
    provider = "hmac"
    header = "X-Signature"
    timestamp_header = "X-Time"
    secrets = [{ value = "canary-timed" }]
    [[sources]]
    name = "open"
    channel = "webhook"
    provider = "none"
    "#;

const NOW: i64 = 1_795_412_009_120;

struct Fixture {
    config: Config,
}

impl Fixture {
    fn new() -> Self {
        let requirements = Requirements::every(Need::Optional);
        Self { config: Config::parse_for(SOURCES, "t.toml", &Environment::default(), requirements).unwrap() }
    }

    fn judge(&self, name: &str) -> (&Source, Judge, String) {
        let source = self.config.sources.iter().find(|source| source.name == name).unwrap();
        let judge = Judge::new(&self.config, source.channel.parse().unwrap(), name).unwrap();
        (source, judge, format!("/v1/{}/{name}", source.channel))
    }

    /// What is said of a request, as JSON too; with no secret in it.
    fn report(&self, name: &str, captured: Captured, at: AsOf, stored: Option<RawEnvelope>) -> Report {
        let (source, judge, path) = self.judge(name);
        let at = (Millis::from_unix(NOW).unwrap(), at);
        let report = super::report(&self.config, source, &judge, Given { captured, at, stored }, path);
        let text = serde_json::to_string(&report).unwrap();
        assert!(!text.contains("canary") && !text.contains("test-secret"), "{text}");
        report
    }

    /// A request to a source, signed as another would sign it.
    fn signed(&self, by: &str, target: &str, url: &str, body: &str) -> Captured {
        let (_, judge, _) = self.judge(by);
        let media = if body.starts_with('{') { "application/json" } else { "application/x-www-form-urlencoded" };
        let mut headers = vec![("Content-Type".to_owned(), media.as_bytes().to_vec())];
        let method = http::Method::POST;
        let request =
            providers::Request { method: &method, url, query: query_of(url), headers: &headers, body: body.as_bytes() };
        let now = Millis::from_unix(NOW).unwrap();
        let signed = judge.adapter.sign(&request, &judge.keyring, &judge.scheme, now).unwrap();
        headers.extend(signed.headers);
        Captured { method, target: target.to_owned(), headers, body: body.into(), notes: Vec::new() }
    }
}

fn told(report: &Report) -> String {
    let lines = report.findings.iter().map(|finding| format!("{}: {} {}", finding.what, finding.says, finding.next));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn what_holds_names_the_secret_by_its_number() {
    let fixture = Fixture::new();
    let captured = fixture.signed("orders", "/v1/webhook/orders", "", "{}");
    let report = fixture.report("orders", captured, AsOf::Now, None);
    assert_eq!((report.holds, report.secret, report.findings.len()), (Holds::Yes, Some(1), 0));
    let captured = fixture.signed("open", "/v1/webhook/open", "", "{}");
    assert_eq!(fixture.report("open", captured, AsOf::Now, None).holds, Holds::Yes, "there is nothing to verify");
}

#[test]
fn another_url_tells_what_public_url_has_to_be() {
    let fixture = Fixture::new();
    let url = "http://in.example.com:8080/v1/sms/support";
    let mut captured = fixture.signed("support", "/v1/sms/support", url, "Body=hi");
    captured.headers.push(("Host".into(), b"in.example.com:8080".to_vec()));
    let report = fixture.report("support", captured, AsOf::Now, None);
    assert!(
        told(&report).contains("public_url = \"http://in.example.com:8080\"` under [gateway]"),
        "{}",
        told(&report)
    );
    let captured =
        fixture.signed("support", "https://hooks.example.com/sms", "https://hooks.example.com/sms", "Body=hi");
    let report = fixture.report("support", captured, AsOf::Now, None);
    let expected = "public_url = \"https://hooks.example.com/sms\"` of support";
    assert!(told(&report).contains(expected), "{}", told(&report));
}

#[test]
fn a_swapped_secret_names_the_other_source() {
    let fixture = Fixture::new();
    let captured = fixture.signed("orders-test", "/v1/webhook/orders", "", "{}");
    let report = fixture.report("orders", captured, AsOf::Now, None);
    assert_eq!((report.holds, report.flaw), (Holds::No, Some(Flaw::Mismatch)));
    assert!(told(&report).contains("secret 1 of another source, orders-test"), "{}", told(&report));
}

#[test]
fn content_length_tells_whether_the_request_or_its_capture_was_altered() {
    let fixture = Fixture::new();
    let told = |length: &str| {
        let mut captured = fixture.signed("orders", "/v1/webhook/orders", "", "{\"a\":1}");
        captured.body = b"{\"a\": 1}".to_vec();
        captured.headers.push(("Content-Length".into(), length.into()));
        told(&fixture.report("orders", captured, AsOf::Now, None))
    };
    assert!(told("7").contains("the capture was altered and not the request"), "{}", told("7"));
    assert!(told("8").contains("something between the provider and the gateway"), "{}", told("8"));
}

#[test]
fn a_late_signature_tells_how_late_and_whether_that_is_a_time_zone() {
    let fixture = Fixture::new();
    let told = |hours: i64, as_of| {
        let mut captured = fixture.signed("timed", "/v1/webhook/timed", "", "{}");
        let (source, judge, path) = fixture.judge("timed");
        captured.notes.clear();
        let at = (Millis::from_unix(NOW + hours * 3_600_000).unwrap(), as_of);
        let report = super::report(&fixture.config, source, &judge, Given { captured, at, stored: None }, path);
        assert_eq!(report.holds, Holds::No);
        told(&report)
    };
    assert!(told(2, AsOf::Received).contains("1h 55m too late"), "{}", told(2, AsOf::Received));
    assert!(told(2, AsOf::Received).contains("2 hours, up to the tolerance"));
    assert!(told(-1, AsOf::Date).contains("55m 0s too early"), "{}", told(-1, AsOf::Date));
    assert!(told(100, AsOf::Now).contains("--at"), "{}", told(100, AsOf::Now));
}

#[test]
fn what_has_no_signature_cannot_be_judged_and_looks_are_told() {
    let fixture = Fixture::new();
    let captured = fixture.signed("support", "/v1/sms/support", "https://in.example.com/v1/sms/support", "Body=hi");
    let report = fixture.report("orders", captured, AsOf::Now, None);
    assert_eq!((report.holds, report.flaw), (Holds::CannotBeJudged, Some(Flaw::Missing)));
    assert!(told(&report).contains("x-hub-signature-256 is not there"), "{}", told(&report));
    assert!(told(&report).contains("those of sms/twilio"), "{}", told(&report));
}

#[test]
fn a_handshake_is_judged_by_its_token() {
    let fixture = Fixture::new();
    let holds = |query: &str| {
        let target = format!("/v1/whatsapp/chat?hub.mode=subscribe&hub.challenge=1&{query}");
        let (method, headers) = (http::Method::GET, Vec::new());
        let captured = Captured { method, target, headers, body: Vec::new(), notes: Vec::new() };
        fixture.report("chat", captured, AsOf::Now, None).holds
    };
    assert_eq!(holds("hub.verify_token=canary-token"), Holds::Yes);
    assert_eq!(holds("hub.verify_token=other"), Holds::No);
    assert_eq!(holds(""), Holds::CannotBeJudged);
}

/// As the gateway stores it: what stands in `Authorization` is a fingerprint.
fn stored(fixture: &Fixture, by: &str, target: &str) -> (Captured, RawEnvelope) {
    let mut captured = fixture.signed(by, target, "", "{}");
    let fingerprints = ingest_gateway::redact::Fingerprints::derive(b"test-key");
    fingerprints.redact_headers(&mut captured.headers, &[], &[]);
    let envelope = RawEnvelope {
        id: uuid::Uuid::from_u128(7),
        // A moment later: a provider's token is not one that could be made again.
        received_at: Millis::from_unix(NOW + 60_000).unwrap(),
        method: "POST".into(),
        query: None,
        provider: "bearer".into(),
        verified: Verified::No,
        headers: captured.headers.clone(),
        body: None,
        replay: None,
        traceparent: None,
    };
    (captured, envelope)
}

#[test]
fn a_stored_credential_is_judged_by_its_fingerprint_and_a_stored_token_not_at_all() {
    let fixture = Fixture::new();
    let report = |by: &str, to: &str, target: &str| {
        let (captured, envelope) = stored(&fixture, by, target);
        fixture.report(to, captured, AsOf::Received, Some(envelope))
    };
    assert_eq!(report("keyed", "keyed", "/v1/webhook/keyed").holds, Holds::Yes);
    let token = report("jwt", "jwt", "/v1/sms/jwt");
    assert_eq!((token.holds, token.flaw), (Holds::CannotBeJudged, None));
    assert!(told(&token).contains("--file"), "{}", told(&token));

    let mut other = Fixture::new();
    let text = SOURCES.replace("canary-key", "canary-new");
    let requirements = Requirements::every(Need::Optional);
    other.config = Config::parse_for(&text, "t.toml", &Environment::default(), requirements).unwrap();
    let (captured, envelope) = stored(&fixture, "keyed", "/v1/webhook/keyed");
    let report = other.report("keyed", captured, AsOf::Received, Some(envelope));
    assert_eq!((report.holds, report.flaw), (Holds::No, Some(Flaw::Mismatch)));
    assert!(report.says.contains("none of the secrets"), "{}", report.says);
}
