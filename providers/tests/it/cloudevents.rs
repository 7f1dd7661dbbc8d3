//! CloudEvents: what no sample shows.

use crate::support::{MAX_BODY, Owned, Source, now};
use proto::{Channel, HashKey, Policy, Verified};
use providers::{
    BadReason, BadRequest, Flaw, Handshake, Identity, Normalized, Record, Scheme, SourceSettings, Verdict, Windows,
    dedup, find,
};
use serde_json::{Value, json};

const STRUCTURED: &str = "application/cloudevents+json";
const BATCH: &str = "Application/CloudEvents-Batch+JSON; charset=utf-8";

fn normalize(request: &Owned) -> Normalized {
    let adapter = find(Channel::Webhook, "cloudevents").unwrap();
    adapter.normalize(&request.as_raw(adapter, Verified::Yes), &SourceSettings::default())
}

fn record(request: &Owned) -> Record {
    *normalize(request).elements.remove(0).unwrap()
}

fn metadata(record: &Record) -> Value {
    serde_json::from_str(record.message.metadata.get()).unwrap()
}

fn check(request: &Owned) -> Result<(), BadRequest> {
    find(Channel::Webhook, "cloudevents").unwrap().check(&request.as_request(), MAX_BODY)
}

fn event(id: &str, more: &Value) -> Value {
    let mut event = json!({ "specversion": "1.0", "id": id, "source": "/s", "type": "t" });
    event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    event
}

fn structured(more: &Value) -> Owned {
    Owned::post(STRUCTURED, event("1", more).to_string())
}

/// The same event in binary mode.
fn binary(content_type: &str, body: &[u8]) -> Owned {
    let request = Owned::post(content_type, body.to_vec());
    let pairs = [("Ce-SpecVersion", "1.0"), ("Ce-Id", "1"), ("Ce-Source", "/s"), ("Ce-Type", "t")];
    pairs.into_iter().fold(request, |request, (name, value)| request.with(name, value))
}

fn key(record: &Record, policy: Policy) -> proto::DedupKey {
    dedup::key(record, policy, Windows { id_ms: 8, content_ms: 1 }, &HashKey::derive(b"secret")).0
}

#[test]
fn an_event_is_the_same_in_every_mode() {
    let data = json!({ "text": "hello", "from": "A@Example.com", "n": 1 });
    let requests = [
        structured(&json!({ "data": data, "datacontenttype": "application/json" })),
        binary("application/json", data.to_string().as_bytes()),
        Owned::post(BATCH, json!([event("1", &json!({ "data": data }))]).to_string()),
        structured(&json!({
            "data_base64": "eyJ0ZXh0IjoiaGVsbG8iLCJmcm9tIjoiQUBFeGFtcGxlLmNvbSIsIm4iOjF9",
            "datacontenttype": "application/json"
        })),
    ];
    let records = requests.each_ref().map(record);
    for (request, record) in requests.iter().zip(&records) {
        assert_eq!(check(request), Ok(()));
        assert_eq!(record.identity, Identity::Provided(vec!["/s".to_owned(), "1".to_owned()]));
        assert_eq!(record.message.text.as_deref(), Some("hello"));
        assert_eq!(record.message.sender.as_ref().unwrap().address.as_deref(), Some("A@example.com"));
        assert_eq!(metadata(record)["fields"], data);
        for policy in [Policy::Auto, Policy::Content] {
            assert_eq!(key(record, policy), key(&records[0], policy), "{policy:?}");
        }
    }
}

#[test]
fn source_and_id_together_are_the_key_and_type_and_subject_are_content() {
    let first = record(&structured(&json!({ "data": { "order": 7 } })));
    let same = record(&structured(&json!({ "data": { "order": 8 }, "subject": "x", "type": "other" })));
    assert_eq!(key(&first, Policy::Auto), key(&same, Policy::Auto));
    for more in [json!({ "source": "/other" }), json!({ "id": "2" }), json!({ "source": "/s1", "id": "" })] {
        let mut all = json!({ "data": { "order": 7 } });
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let Some(Ok(other)) = normalize(&structured(&all)).elements.pop() else { continue };
        assert_ne!(key(&first, Policy::Auto), key(&other, Policy::Auto), "{more}");
    }
    let content = |more: Value| key(&record(&structured(&more)), Policy::Content);
    let order = json!({ "order": 7 });
    assert_eq!(content(json!({ "data": order })), content(json!({ "data": order, "id": "2", "traceparent": "00-x" })));
    assert_ne!(content(json!({ "data": order })), content(json!({ "data": order, "type": "deleted" })));
    assert_ne!(content(json!({ "data": order })), content(json!({ "data": order, "subject": "b" })));
    assert_ne!(content(json!({})), content(json!({ "id": "2" })), "without data, all of it counts");
}

#[test]
fn an_event_without_data_is_an_event() {
    for request in [structured(&json!({})), structured(&json!({ "data": null })), binary("text/plain", b"")] {
        assert_eq!(check(&request), Ok(()));
        let record = record(&request);
        assert_eq!(record.message.provider_message_id.as_deref(), Some("1"));
        assert_eq!((record.message.text.as_deref(), record.message.attachments.len()), (None, 0));
    }
}

#[test]
fn data_is_what_its_media_type_says() {
    let read = record(&structured(&json!({ "data": "Grüße", "datacontenttype": "text/plain; charset=iso-8859-1" })));
    assert_eq!(read.message.text.as_deref(), Some("Grüße"));
    assert_eq!(metadata(&read)["datacontenttype"], "text/plain; charset=iso-8859-1");
    assert_eq!(
        record(&binary("text/plain; charset=iso-8859-1", b"Gr\xfc\xdfe")).message.text.as_deref(),
        Some("Grüße")
    );
    for request in [
        structured(&json!({ "data": "<a/>", "datacontenttype": "application/xml" })),
        structured(&json!({ "data_base64": "PGEvPg==", "datacontenttype": "application/xml" })),
        binary("application/xml", b"<a/>"),
    ] {
        let file = record(&request).message.attachments.remove(0);
        assert_eq!((file.content_type.as_deref(), file.size), (Some("application/xml"), Some(4)));
    }
    let form = record(&binary("application/x-www-form-urlencoded", b"message=a+b&x=1"));
    assert_eq!(form.message.text.as_deref(), Some("a b"));
}

#[test]
fn every_attribute_is_kept_and_none_takes_the_place_of_the_data() {
    let request = binary("application/json", b"{\"a\":1}")
        .with("CE-Subject", "\"Euro%20%E2%82%AC\"")
        .with("ce-time", "2026-08-01T08:06:46.5+02:00")
        .with("ce-dataschema", "https://example.com/s")
        .with("ce-fields", "mine")
        .with("ce-traceparent", "00-x");
    let record = record(&request);
    assert_eq!(record.message.sent_at.unwrap().to_string(), "2026-08-01T06:06:46.500Z");
    let expected = json!({
        "fields": { "a": 1 },
        "source": "/s",
        "type": "t",
        "subject": "Euro €",
        "time": "2026-08-01T08:06:46.5+02:00",
        "datacontenttype": "application/json",
        "dataschema": "https://example.com/s",
        "extensions": { "fields": "mine", "traceparent": "00-x" },
    });
    assert_eq!(metadata(&record), expected);
    assert_eq!(record.message.subject, None, "what an event is about is no subject line");
}

#[test]
fn a_bad_event_of_a_batch_is_dead_alone() {
    let bad = json!({ "specversion": "1.0", "source": "/s", "type": "t" });
    let not_json = event("4", &json!({ "data_base64": "eA==", "datacontenttype": "application/json" }));
    let batch = json!([event("0", &json!({})), bad, 7, event("3", &json!({ "data": 1 })), not_json]);
    let request = Owned::post(BATCH, batch.to_string());
    assert_eq!(check(&request), Ok(()));
    let normalized = normalize(&request);
    assert_eq!(normalized.parts, 5);
    let endings: Vec<_> = normalized
        .elements
        .iter()
        .map(|element| match element {
            Ok(record) => Ok((record.message.part, record.message.parts, record.message.provider_message_id.clone())),
            Err(bad) => Err((bad.part, bad.reason)),
        })
        .collect();
    let expected = [
        Ok((0, 5, Some("0".to_owned()))),
        Err((1, BadReason::NotAnEvent)),
        Err((2, BadReason::NotAnObject)),
        Ok((3, 5, Some("3".to_owned()))),
        Err((4, BadReason::NotJson)),
    ];
    assert_eq!(endings, expected);
}

#[test]
fn an_empty_batch_is_one_ignored_record_and_too_large_a_one_is_none() {
    let record = record(&Owned::post(BATCH, " [ ] "));
    assert_eq!(record.message.status.unwrap().status, "ignored");
    let many = format!("[{}1]", "1,".repeat(10_000));
    assert_eq!(normalize(&Owned::post(BATCH, many)).elements[0].as_ref().unwrap_err().reason, BadReason::TooMany);
}

#[test]
fn what_is_no_event_is_refused() {
    let refused = [
        (Owned::post("application/json", "{}"), BadRequest::NotAnEvent),
        (binary("application/json", b"{"), BadRequest::NotJson),
        (binary("text/plain", b"x").with("ce-datacontenttype", "text/plain"), BadRequest::NotAnEvent),
        (binary("text/plain", b"x").with("ce-id", "2"), BadRequest::NotAnEvent),
        (binary("text/plain", b"x").with("ce-time", "today"), BadRequest::NotAnEvent),
        (binary("text/plain", b"x").with("content-encoding", "br"), BadRequest::Encoding),
        (Owned::post(STRUCTURED, ""), BadRequest::Empty),
        (Owned::post(STRUCTURED, "[]"), BadRequest::NotAnEvent),
        (Owned::post(BATCH, "{}"), BadRequest::NotAnEvent),
        (Owned::post("application/cloudevents+avro", "x"), BadRequest::EventFormat),
        (Owned::post("application/cloudevents-batch+protobuf", "x"), BadRequest::EventFormat),
    ];
    for (request, bad) in refused {
        assert_eq!(check(&request), Err(bad), "{request:?}");
        assert!(normalize(&request).elements[0].is_err(), "{request:?}");
    }
    assert_eq!(BadRequest::EventFormat.status(), 415);
    assert_eq!(BadRequest::NotAnEvent.status(), 400);
}

#[test]
fn the_sender_proves_itself_with_what_the_source_has() {
    let judge = |secret: &str, scheme: &Scheme, request: &Owned| {
        let source = Source::new(Channel::Webhook, "cloudevents", &["old", secret], scheme.clone());
        let now = now(&json!({ "now": 1_785_564_409 }));
        source.adapter.authenticate(&request.as_request(), &source.keyring, &source.scheme, now)
    };
    let plain = Scheme::default();
    let at = |query: &str| {
        let mut request = structured(&json!({}));
        request.url = format!("{}?{query}", request.url);
        request
    };
    let fits = Verdict::Fits { secret: 1 };
    assert_eq!(judge("token", &plain, &structured(&json!({})).with("Authorization", "bearer token")), fits);
    let basic = structured(&json!({})).with("Authorization", "Basic dXNlcjpwYXNz");
    assert_eq!(judge("user:pass", &plain, &basic), fits);
    assert_eq!(judge("user:other", &plain, &basic), Verdict::Wrong(Flaw::Mismatch));
    assert_eq!(judge("to ken", &plain, &at("access_token=to%20ken")), fits);
    assert_eq!(judge("token", &plain, &at("a=b&key=token")), fits);
    assert_eq!(judge("token", &plain, &at("key=token&access_token=token")), Verdict::Wrong(Flaw::Repeated));
    let both = at("access_token=token").with("Authorization", "Bearer token");
    assert_eq!(judge("token", &plain, &both), Verdict::Wrong(Flaw::Repeated));
    assert_eq!(judge("token", &plain, &at("access_token=")), Verdict::Wrong(Flaw::Missing));
    let hmac = Scheme { header: Some("x-signature".to_owned()), ..plain };
    assert_eq!(judge("token", &hmac, &at("access_token=token")), Verdict::Wrong(Flaw::Missing));
}

#[test]
fn consent_is_given_to_who_asks_for_it_and_says_back_nothing_else() {
    let adapter = find(Channel::Webhook, "cloudevents").unwrap();
    let ask = |headers: &[(&str, &str)]| {
        let mut request = Owned::post("text/plain", "");
        request.method = http::Method::OPTIONS;
        let request = headers.iter().fold(request, |request, (name, value)| request.with(name, value));
        let Handshake::Accepted { headers, body } = adapter.handshake(&request.as_request(), None)? else {
            panic!("neither consent nor no question");
        };
        assert_eq!(body, "");
        Some(
            headers.into_iter().map(|(name, value)| format!("{name}: {}", String::from_utf8(value).unwrap())).collect(),
        )
    };
    let origin = ("WebHook-Request-Origin", "sender.example.com");
    let allowed = "webhook-allowed-origin: sender.example.com";
    let answer: Option<Vec<String>> = ask(&[origin]);
    assert_eq!(answer.unwrap(), [allowed, "webhook-allowed-rate: *", "allow: POST"]);
    let callback = ("webhook-request-callback", "https://sender.example.com/ok");
    let answer: Option<Vec<String>> = ask(&[origin, callback, ("webhook-request-rate", "007")]);
    assert_eq!(answer.unwrap(), [allowed, "webhook-allowed-rate: 7", "allow: POST"]);
    for rate in ["0", "-1", "*", "99999999999", "1\r\nx: y"] {
        let answer: Option<Vec<String>> = ask(&[origin, ("webhook-request-rate", rate)]);
        assert_eq!(answer.unwrap(), [allowed, "webhook-allowed-rate: *", "allow: POST"], "{rate}");
    }
    let long = "a".repeat(256);
    for origin in ["", "a b", "ü", long.as_str()] {
        let answer: Option<Vec<String>> = ask(&[("webhook-request-origin", origin)]);
        assert_eq!(answer, None, "{origin}");
    }
    let answer: Option<Vec<String>> = ask(&[origin, origin]);
    assert_eq!(answer, None);
}
