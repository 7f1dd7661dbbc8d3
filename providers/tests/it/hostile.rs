//! What anybody may send: nothing of it may panic, take long, or become a record that the database refuses.

use crate::support::{MAX_BODY, Owned, Source, now};
use proptest::prelude::*;
use proto::{CanonicalMessage, Channel, Kind, Verified};
use providers::{BadReason, BadRequest, Flaw, Normalized, Scheme, SourceSettings, Verdict, registry};
use serde_json::Value;

const TYPES: [&str; 10] = [
    "application/json",
    "application/x-www-form-urlencoded; charset=utf-16",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=b",
    "multipart/form-data",
    "text/plain; charset=shift_jis",
    "application/octet-stream",
    "application/cloudevents+json",
    "application/cloudevents-batch+json",
    ";;=\"",
];

/// With the headers that make a CloudEvent of any body.
fn as_event(request: Owned) -> Owned {
    let attributes = [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "/"), ("ce-type", "t")];
    attributes.into_iter().fold(request, |request, (name, value)| request.with(name, value))
}

/// Bytes that look like something.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let pieces = [
        "{",
        "}",
        "[",
        "]",
        "\"",
        ":",
        ",",
        "\\",
        "\\ud800",
        "\\u0000",
        "1e999",
        "null",
        "MessageSid=SM1&",
        r#"{"specversion":"1.0","id":"1","source":"/","type":"t""#,
        r#","data":"#,
        r#","data_base64":"eA=="}"#,
        "From=whatsapp:+&ChannelMetadata=%7B&Latitude=&",
        r#"{"object":"whatsapp_business_account","entry":[{"changes":[{"field":"messages","value":{"messages":[{"#,
        r#""type":"interactive","interactive":{"type":"nfm_reply","nfm_reply":{"response_json":"{"}}"#,
        "}]}}]}]}",
        "payload=",
        "%",
        "%00",
        "%ff",
        "&",
        "=",
        "--b",
        "--b--",
        "\r\n",
        "\n",
        "Content-Disposition: form-data; name=\"a\"; filename=\"",
        "; filename*=UTF-8''%00",
        "Content-Disposition: form-data; name=\"email\"\r\n\r\nFrom: a@b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n",
        "Content-Disposition: form-data; name=\"headers\"\r\n\r\nSubject: =?cp850?q?=ff?=\r\n",
        "Content-Disposition: form-data; name=\"charsets\"\r\n\r\n{\"text\":\"utf-16\"}\r\n",
        "Content-Disposition: form-data; name=\"attachment-info\"\r\n\r\n{\"attachment1\":{\"filename\":\"\\u0000/\"}}\r\n",
        "body-mime=Content-Type:message/rfc822%0a%0a&recipient=\0&",
        "message-headers=[[\"a\"],[1,2],[\"To\",\"%0d%0aBcc: x\"]]&content-id-map={\"\":\"\",\"\":1}&attachments=[{}]&",
        r#"{"event-data":{"event":"failed","timestamp":1e999,"delivery-status":{"code":-1}},"signature":["#,
        r#"[{"event":"open","timestamp":9223372036854775807},"#,
        "NumMedia=99999999999&",
        "MediaUrl0=\0",
        "é",
        "\u{0}",
    ];
    let piece = prop_oneof![
        prop::sample::select(pieces.to_vec()).prop_map(|piece| piece.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..8),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// Whether every text in it can be stored.
fn can_be_stored(value: &Value) -> bool {
    match value {
        Value::String(text) => !text.contains('\0'),
        Value::Array(values) => values.iter().all(can_be_stored),
        Value::Object(map) => map.iter().all(|(key, value)| !key.contains('\0') && can_be_stored(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
    }
}

fn check(normalized: &Normalized) {
    assert!(!normalized.elements.is_empty(), "a request ends in at least one element");
    assert_eq!(normalized.elements.len(), normalized.parts as usize);
    for (place, element) in (0..).zip(&normalized.elements) {
        match element {
            Err(bad) => assert_eq!(bad.part, place),
            Ok(record) => {
                assert_eq!(record.message.part, place);
                let bytes = serde_json::to_vec(&record.message).unwrap();
                let read: CanonicalMessage = serde_json::from_slice(&bytes).unwrap();
                assert_eq!(read.id, record.message.id);
                let metadata: Value = serde_json::from_str(read.metadata.get()).unwrap();
                assert!(metadata.is_object() && can_be_stored(&metadata));
                assert!(can_be_stored(&serde_json::to_value(&record.message.text).unwrap()));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_body_becomes_elements(
        body in body(),
        content_type in prop::sample::select(TYPES.to_vec()),
        packed in any::<bool>(),
    ) {
        let mut request = as_event(Owned::post(content_type, body));
        if packed {
            request = request.with("content-encoding", "gzip");
        }
        for adapter in registry::ALL {
            let _checked = adapter.check(&request.as_request(), MAX_BODY);
            check(&adapter.normalize(&request.as_raw(*adapter, Verified::None), &SourceSettings::default()));
        }
    }
}

#[test]
fn what_is_signed_here_verifies_here_and_what_was_changed_does_not() {
    let hmac = Scheme {
        header: Some("x-signature".to_owned()),
        timestamp_header: Some("x-time".to_owned()),
        ..Scheme::default()
    };
    let private = "whsk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let sources = [
        (Channel::Sms, "twilio", "token", Scheme::default(), true),
        (Channel::Sms, "vonage-messages", "secret", Scheme::default(), true),
        (Channel::Sms, "messagebird", "secret", Scheme::default(), true),
        (Channel::Sms, "bird", "secret", Scheme::default(), true),
        (Channel::Sms, "sinch", "secret", Scheme::default(), true),
        (Channel::Sms, "plivo", "token", Scheme::default(), true),
        (Channel::Form, "generic", "se&cret=", Scheme::default(), false),
        (Channel::Form, "generic", "secret", hmac.clone(), true),
        (Channel::Form, "typeform", "secret", Scheme::default(), true),
        (Channel::Form, "tally", "secret", Scheme::default(), true),
        (Channel::Form, "jotform", "se&cret=", Scheme::default(), false),
        (
            Channel::Email,
            "ses",
            "user:password",
            Scheme { topics: vec!["arn:aws:sns:a:1:t".to_owned()], ..Scheme::default() },
            false,
        ),
        (Channel::Email, "postmark", "user:password", Scheme::default(), false),
        (Channel::Email, "postmark", "se&cret=", Scheme::default(), false),
        (Channel::Webhook, "standard", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", Scheme::default(), true),
        (Channel::Webhook, "standard", private, Scheme::default(), true),
        (Channel::Webhook, "github", "secret", Scheme::default(), true),
        (Channel::Webhook, "cloudevents", "token", Scheme::default(), false),
        (Channel::Webhook, "cloudevents", "user:password", Scheme::default(), false),
        (Channel::Webhook, "cloudevents", "secret", hmac.clone(), true),
        (Channel::Webhook, "hmac", "secret", hmac, true),
        (Channel::Webhook, "bearer", "token", Scheme::default(), false),
        (Channel::Webhook, "bearer", "token", Scheme { header: Some("x-key".to_owned()), ..Scheme::default() }, false),
        (Channel::Webhook, "basic", "user:pass:word", Scheme::default(), false),
        (Channel::Webhook, "none", "secret", Scheme::default(), false),
    ];
    let now = now(&serde_json::json!({ "now": 1_785_564_409 }));
    for (channel, provider, secret, scheme, covers_body) in sources {
        let source = Source::new(channel, provider, &[secret], scheme);
        let sent = ["application/json", "application/x-www-form-urlencoded"].into_iter();
        for content_type in sent.filter(|sent| source.adapter.contract().accepts(Some(sent))) {
            let mut request = Owned::post(content_type, "a=1");
            let signed = source.adapter.sign(&request.as_request(), &source.keyring, &source.scheme, now).unwrap();
            request.headers.extend(signed.headers);
            if let Some(query) = signed.query {
                request.url = format!("{}?{query}", request.url);
            }
            let judge = |request: &Owned| {
                source.adapter.authenticate(&request.as_request(), &source.keyring, &source.scheme, now)
            };
            assert_eq!(judge(&request), Verdict::Fits { secret: 0 }, "{channel} {provider} {content_type}");
            request.body = "a=2".into();
            assert_eq!(judge(&request).verified() == Verified::No, covers_body, "{channel} {provider} {content_type}");
        }
    }
}

#[test]
fn an_empty_or_missing_secret_is_refused_at_start() {
    for adapter in registry::ALL {
        let scheme = Scheme { header: Some("x".to_owned()), ..Scheme::default() };
        assert!(
            adapter.keyring(&[], &scheme).is_err() || adapter.keyring(&[], &Scheme::default()).is_ok(),
            "{adapter:?}"
        );
        assert!(adapter.keyring(&[""], &scheme).is_err(), "{adapter:?} takes an empty secret");
    }
}

#[test]
fn a_source_without_secrets_says_that_there_was_nothing_to_verify() {
    for (channel, provider) in [
        (Channel::Form, "generic"),
        (Channel::Form, "jotform"),
        (Channel::Email, "postmark"),
        (Channel::Webhook, "none"),
    ] {
        let source = Source::new(channel, provider, &[], Scheme::default());
        let request = Owned::post("application/json", "{}");
        let now = now(&serde_json::json!({ "now": 0 }));
        let verdict = source.adapter.authenticate(&request.as_request(), &source.keyring, &source.scheme, now);
        assert_eq!(verdict, Verdict::NothingToVerify);
    }
}

fn form(body: impl Into<bytes::Bytes>, content_type: &str) -> Normalized {
    let adapter = providers::find(Channel::Form, "generic").unwrap();
    let raw = Owned::post(content_type, body).as_raw(adapter, Verified::None);
    adapter.normalize(&raw, &SourceSettings::default())
}

#[test]
fn a_bad_element_of_a_batch_spoils_no_other() {
    let normalized = form(r#"[{"message":"a"},1,{"message":"b"}]"#, "application/json");
    check(&normalized);
    let [Ok(first), Err(bad), Ok(last)] = normalized.elements.as_slice() else { panic!("{normalized:?}") };
    assert_eq!((first.message.text.as_deref(), last.message.text.as_deref()), (Some("a"), Some("b")));
    assert_eq!(bad.reason, BadReason::NotAnObject);
    assert_eq!((last.message.part, last.message.parts), (2, 3));
}

#[test]
fn an_empty_batch_is_one_ignored_record() {
    let normalized = form("[]", "application/json");
    let [Ok(record)] = normalized.elements.as_slice() else { panic!("{normalized:?}") };
    assert_eq!(record.message.kind, Kind::AccountEvent);
    assert_eq!(record.message.status.as_ref().unwrap().status, "ignored");
}

#[test]
fn a_request_cannot_become_more_than_is_taken() {
    let elements = format!("[{}1]", "1,".repeat(20_000));
    let fields = "a&".repeat(20_000);
    let values = format!(r#"{{"a":[{}0]}}"#, "0,".repeat(300_000));
    let bad = |normalized: Normalized| normalized.elements[0].as_ref().unwrap_err().reason;
    assert_eq!(bad(form(elements, "application/json")), BadReason::TooMany);
    assert_eq!(bad(form(fields, "application/x-www-form-urlencoded")), BadReason::TooMany);
    assert_eq!(bad(form(values, "application/json")), BadReason::TooMany);
}

#[test]
fn more_parameters_than_anybody_signs_are_not_taken_apart() {
    let source = Source::new(Channel::Sms, "twilio", &["token"], Scheme::default());
    let now = now(&serde_json::json!({ "now": 0 }));
    let judge = |fields: usize| {
        let mut request = Owned::post("application/x-www-form-urlencoded", "a&".repeat(fields));
        request.headers.push(("x-twilio-signature".to_owned(), b"uVxwj2YE+2Acm3ViDSFIF6dPmtk=".to_vec()));
        source.adapter.authenticate(&request.as_request(), &source.keyring, &source.scheme, now)
    };
    assert_eq!(judge(1_000), Verdict::Wrong(Flaw::Mismatch));
    assert_eq!(judge(20_000), Verdict::Wrong(Flaw::Malformed));
}

fn packed(unpacked: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(unpacked).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_body_that_unpacks_to_more_than_its_source_takes_is_refused() {
    let most = packed(&vec![b'0'; usize::try_from(MAX_BODY).unwrap()]);
    let two_members = [most.clone(), packed(b"0")].concat();
    let one_more = packed(&vec![b'0'; usize::try_from(MAX_BODY + 1).unwrap()]);
    for adapter in registry::ALL {
        let check = |body: &[u8]| {
            let content_type = "application/x-www-form-urlencoded";
            let request = Owned::post(content_type, body.to_vec()).with("content-encoding", "gzip");
            adapter.check(&as_event(request).as_request(), MAX_BODY)
        };
        assert_eq!(check(&most), Ok(()), "{adapter:?}");
        assert_eq!(check(&one_more), Err(BadRequest::TooLarge), "{adapter:?}");
        assert_eq!(check(&two_members), Err(BadRequest::TooLarge), "{adapter:?}");
        assert_eq!(check(b"0"), Ok(()), "what cannot be unpacked is a dead letter: {adapter:?}");
    }
    assert_eq!(BadRequest::TooLarge.status(), 413);
}

#[test]
fn a_small_body_does_not_unpack_into_a_large_one() {
    let adapter = providers::find(Channel::Webhook, "none").unwrap();
    let large = packed(&vec![b' '; 17 * 1024 * 1024]);
    let small = packed(&vec![b' '; 2 * 1024 * 1024]);
    let read = |body: &[u8], max_body: u64| {
        let request = Owned::post("text/plain", body.to_vec()).with("content-encoding", "gzip");
        let settings = SourceSettings { max_body, ..SourceSettings::default() };
        let normalized = adapter.normalize(&request.as_raw(adapter, Verified::None), &settings);
        normalized.elements.into_iter().next().unwrap().map(|_| ()).map_err(|bad| bad.reason)
    };
    assert_eq!(read(&large, MAX_BODY), Err(BadReason::TooLarge));
    assert_eq!(read(&large, 0), Err(BadReason::TooLarge), "a source that is not configured any more");
    assert_eq!(read(&small, MAX_BODY), Ok(()), "taken before its source's limit was lowered");
    assert_eq!(read(&large, 17 * MAX_BODY), Ok(()), "as much as its source takes");
}

#[test]
fn nothing_that_prints_shows_a_secret_or_a_body() {
    let source = Source::new(Channel::Webhook, "bearer", &["hush"], Scheme::default());
    let request = Owned::post("text/plain", "private");
    let printed =
        format!("{:?} {:?} {:?}", source.keyring, request.as_request(), request.as_raw(source.adapter, Verified::Yes));
    assert!(!printed.contains("hush") && !printed.contains("private"), "{printed}");
}
