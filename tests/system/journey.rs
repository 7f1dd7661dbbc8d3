//! In at the door, out as a row: every column that the contract names, for each channel that has a provider.

use proto::envelope::RawEnvelope;
use proto::{BodyRef, Millis, Verified, id};
use serde_json::{Value, json};
use tests::broker::Headers;
use tests::config::{BASIC, BEARER, GITHUB, PUBLIC_URL, STANDARD, STANDARD_OLD, TWILIO};
use tests::sign::{github_request, standard_request, twilio, twilio_request, urlencoded};
use tests::{Answer, Pipeline, Request};
use uuid::Uuid;

use crate::shared;

/// What every row says about where it came from, whatever is in it.
fn origin(row: &Value, answer: &Answer, channel: &str, source: &str, provider: &str, verified: Verified) {
    let request = answer.id();
    let received = received_at(row);
    let expected = json!({
        "id": id::record_id(received, request, 0), "request_id": request, "part": 0, "parts": 1,
        "channel": channel, "source": source, "provider": provider, "verified": verified.as_str(),
        "raw_sequence": answer.sequence(), "replay_sequence": null, "updated_at": null, "superseded_at": null,
    });
    for (column, value) in expected.as_object().unwrap() {
        assert_eq!(&row[column], value, "{column} of {row:#}");
    }
    let (seconds, nanos) = request.get_timestamp().expect("Penstock-Id is a UUIDv7").to_unix();
    let stamped = i64::try_from(seconds).unwrap() * 1000 + i64::from(nanos / 1_000_000);
    assert_eq!(received.as_unix(), stamped, "the id tells the moment of arrival");
    assert!(row["normalizer_version"].as_i64().unwrap() >= 1, "{row:#}");
    assert_eq!(row["dedup_key"].as_str().unwrap().len(), "\\x".len() + 32, "{row:#}");
    let stored: Millis = row["stored_at"].as_str().unwrap().parse().unwrap();
    assert!(stored.as_unix() >= received.as_unix() && stored.distance(received) < 600_000, "{row:#}");
}

fn received_at(row: &Value) -> Millis {
    row["received_at"].as_str().unwrap().parse().unwrap()
}

#[track_caller]
fn columns(row: &Value, expected: &Value) {
    for (column, value) in expected.as_object().unwrap() {
        assert_eq!(&row[column], value, "{column} of {row:#}");
    }
}

/// What RAW holds of a request: the body untouched, and the envelope.
async fn raw(pipeline: &Pipeline, answer: &Answer) -> (Vec<u8>, RawEnvelope, String) {
    let message = pipeline.broker.message("RAW", answer.sequence()).await.unwrap();
    let all = format!("{:?}", message.headers);
    (message.payload.to_vec(), RawEnvelope::read(&Headers(&message.headers)).unwrap(), all)
}

const SECURITY: [(&str, &str); 3] = [
    ("Content-Security-Policy", "default-src 'none'"),
    ("X-Content-Type-Options", "nosniff"),
    ("Cache-Control", "no-store"),
];

#[track_caller]
pub(crate) fn security_headers(answer: &Answer) {
    for (name, value) in SECURITY {
        assert!(answer.header(name).is_some_and(|found| found.contains(value)), "{name}: {answer}");
    }
    for name in [
        "Strict-Transport-Security",
        "X-Frame-Options",
        "Referrer-Policy",
        "Permissions-Policy",
        "Cross-Origin-Resource-Policy",
    ] {
        assert!(answer.header(name).is_some_and(|found| !found.is_empty()), "{name}: {answer}");
    }
    assert_eq!(answer.header("Access-Control-Allow-Origin"), None, "no script of another origin reads it: {answer}");
    assert_eq!(answer.id().get_version_num(), 7, "{answer}");
}

#[tokio::test]
async fn a_form_as_json() {
    let pipeline = shared::pipeline().await;
    let text = r#"{ "name": "Owen", "email": "c1674@bluefinch.example", "message": "Merci 🙏", "n": 12345678901234567890.10,
        "nested": {"a": [1, 2.5, null, true]} }"#;
    let request =
        Request::json("/v1/form/form-json?utm=x&utm=y%20z", text).header("X-Extra", "2").header("X-Extra", "1");

    let answer = pipeline.post(&request).await;
    answer.accepted();
    security_headers(&answer);
    assert_eq!(answer.header("Content-Type"), Some("application/json"));
    assert_eq!(answer.json()["status"], "accepted");

    let (body, envelope, _) = raw(&pipeline, &answer).await;
    assert_eq!(body, text.as_bytes(), "the body is kept exactly");
    assert_eq!((envelope.id, envelope.method.as_str()), (answer.id(), "POST"));
    assert_eq!(envelope.query.as_deref(), Some("utm=x&utm=y%20z"), "the query is kept exactly");
    assert_eq!((envelope.provider.as_str(), envelope.verified), ("generic", Verified::None));
    let extra: Vec<_> = envelope.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("x-extra")).collect();
    assert_eq!(extra.iter().map(|(_, value)| value.as_slice()).collect::<Vec<_>>(), [b"2", b"1"], "in their order");

    let row = pipeline.row("messages", answer.accepted()).await;
    origin(&row, &answer, "form", "form-json", "generic", Verified::None);
    columns(
        &row,
        &json!({
            "kind": "message", "provider_message_id": null, "subject": null, "text": "Merci 🙏", "html": null,
            "attachments": [], "reply_to_id": null, "thread_references": [], "sent_at": null, "truncations": [],
        }),
    );
    assert_eq!(envelope.received_at, received_at(&row));
    let fields = &row["metadata"]["fields"];
    assert_eq!(fields["name"], "Owen");
    assert_eq!(fields["n"].to_string(), "12345678901234567890.10", "numbers keep their digits");
    assert_eq!(fields["nested"], json!({"a": [1, 2.5, null, true]}));
}

#[tokio::test]
async fn a_form_as_a_browser_sends_it() {
    let pipeline = shared::pipeline().await;
    let fields =
        [("name", "Leïla Haddad"), ("tag", "a"), ("tag", "b"), ("empty", ""), ("message", "Ось фото 📦\r\nдва")];
    let answer = pipeline.post(&Request::form("/v1/form/form-urlencoded", &fields)).await;
    let row = pipeline.row("messages", answer.accepted()).await;
    origin(&row, &answer, "form", "form-urlencoded", "generic", Verified::None);
    columns(&row, &json!({"kind": "message", "attachments": [], "sent_at": null, "truncations": []}));
    assert_eq!(row["text"].as_str().unwrap().replace("\r\n", "\n"), "Ось фото 📦\nдва");
    let submitted = &row["metadata"]["fields"];
    assert_eq!(submitted["name"], "Leïla Haddad");
    assert_eq!(submitted["empty"], "");
    let tags = submitted["tag"].to_string();
    assert!(tags.find("\"a\"") < tags.find("\"b\""), "both values, in their order: {submitted:#}");
}

#[tokio::test]
async fn a_form_with_a_file() {
    let pipeline = shared::pipeline().await;
    let file: Vec<u8> = (0..=255).cycle().take(4096).collect();
    let mut body = b"--xYz\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\nZo\xc3\xab\r\n\
        --xYz\r\nContent-Disposition: form-data; name=\"message\"\r\n\r\none file\r\n\
        --xYz\r\nContent-Disposition: form-data; name=\"upload\"; filename=\"../bild.png\"\r\n\
        Content-Type: image/png\r\n\r\n"
        .to_vec();
    body.extend(&file);
    body.extend(b"\r\n--xYz--\r\n");
    let request = Request::post("/v1/form/form-multipart", body.clone())
        .header("Content-Type", "multipart/form-data; boundary=xYz");

    let answer = pipeline.post(&request).await;
    let row = pipeline.row("messages", answer.accepted()).await;
    origin(&row, &answer, "form", "form-multipart", "generic", Verified::None);
    columns(&row, &json!({"kind": "message", "text": "one file"}));
    assert_eq!(row["metadata"]["fields"]["name"], "Zoë");
    let attachment = &row["attachments"][0];
    let hash = BodyRef::of(&file).hash.to_hex().to_string();
    columns(attachment, &json!({"content_type": "image/png", "size": 4096, "blake3": hash}));
    let name = attachment["filename"].as_str().unwrap();
    assert!(name.ends_with("bild.png") && !name.contains('/'), "never a path: {name}");
    for column in ["disposition", "content_id", "location"] {
        assert!(attachment.get(column).is_some(), "{column}: {attachment:#}");
    }
    assert_eq!(raw(&pipeline, &answer).await.0, body);
}

#[tokio::test]
async fn the_text_is_the_field_that_the_source_names() {
    let pipeline = shared::pipeline().await;
    let request = Request::json("/v1/form/form-note", r#"{"message": "not this", "note": "this"}"#);
    let row = pipeline.row("messages", pipeline.post(&request).await.accepted()).await;
    assert_eq!(row["text"], "this");
}

#[tokio::test]
async fn a_webhook_with_any_json() {
    let pipeline = shared::pipeline().await;
    for (body, text) in [
        (r#"{"event": "paid", "total": 12}"#, Value::Null),
        (r#"{"body": "hello"}"#, json!("hello")),
        ("\"just text\"", Value::Null),
        ("17", Value::Null),
    ] {
        let answer = pipeline.post(&Request::json("/v1/webhook/any-json", body)).await;
        let row = pipeline.row("messages", answer.accepted()).await;
        origin(&row, &answer, "webhook", "any-json", "none", Verified::None);
        assert_eq!(row["kind"], "message", "{row:#}");
        if text.is_string() {
            assert_eq!(row["text"], text, "{row:#}");
        }
    }
}

#[tokio::test]
async fn a_signed_webhook_with_either_of_two_live_secrets() {
    let pipeline = shared::pipeline().await;
    for (secret, message) in [(STANDARD, "msg_new"), (STANDARD_OLD, "msg_old")] {
        let body = format!(r#"{{"type": "order.paid", "message": "{message}"}}"#);
        let answer = pipeline.post(&standard_request(secret, "two-secrets", message, &body)).await;
        let row = pipeline.row("messages", answer.accepted()).await;
        origin(&row, &answer, "webhook", "two-secrets", "standard", Verified::Yes);
        columns(&row, &json!({"kind": "message", "provider_message_id": message, "text": message}));
        assert_eq!(row["metadata"]["fields"]["type"], "order.paid");
    }
}

#[tokio::test]
async fn a_github_webhook_and_its_delivery_id() {
    let pipeline = shared::pipeline().await;
    let delivery = Uuid::new_v4().to_string();
    let body = r#"{"action": "opened", "issue": {"number": 7, "title": "It leaks"}}"#;
    let answer = pipeline.post(&github_request(GITHUB, "github", &delivery, body)).await;
    let row = pipeline.row("messages", answer.accepted()).await;
    origin(&row, &answer, "webhook", "github", "github", Verified::Yes);
    columns(&row, &json!({"kind": "message", "provider_message_id": delivery}));
}

#[tokio::test]
async fn a_token_opens_the_door_and_is_kept_nowhere() {
    use base64::Engine as _;
    let pipeline = shared::pipeline().await;
    let basic = base64::engine::general_purpose::STANDARD.encode(BASIC);
    for (source, credential) in [("bearer", format!("Bearer {BEARER}")), ("basic", format!("Basic {basic}"))] {
        let path = format!("/v1/webhook/{source}");
        let request = Request::json(&path, r#"{"message": "in"}"#).header("Authorization", &credential);
        let answer = pipeline.post(&request).await;
        let row = pipeline.row("messages", answer.accepted()).await;
        origin(&row, &answer, "webhook", source, source, Verified::Yes);

        let (_, envelope, all) = raw(&pipeline, &answer).await;
        let secret = credential.split(' ').nth(1).unwrap();
        let kept = envelope.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("authorization"));
        let kept = String::from_utf8(kept.expect("a fingerprint is in its place").1.clone()).unwrap();
        assert!(!kept.contains(secret) && !all.contains(secret), "{source}: {kept}");
        assert!(!row.to_string().contains(secret), "{source}");

        Request::json(&path, r#"{"message": "out"}"#).send(&pipeline.gateways()[0]).await.unwrap().problem(401);
    }
}

const MESSAGE: [(&str, &str); 11] = [
    ("ToCountry", "US"),
    ("SmsMessageSid", "SMe5baf38e2e6905acbf174e45dc481bba"),
    ("NumMedia", "1"),
    ("FromCity", "SAN FRANCISCO"),
    ("SmsStatus", "received"),
    ("Body", "YES confirm 👍 43210"),
    ("MessageSid", "SMe5baf38e2e6905acbf174e45dc481bba"),
    ("From", "+14155551438"),
    ("To", "+14155553237"),
    ("MediaUrl0", "https://api.twilio.com/2010-04-01/Accounts/AC1/Messages/MM1/Media/ME1"),
    ("MediaContentType0", "image/jpeg"),
];

#[tokio::test]
async fn an_sms_from_twilio() {
    let pipeline = shared::pipeline().await;
    let answer = pipeline.post(&twilio_request(TWILIO, "sms-message", &MESSAGE)).await;
    assert_eq!(answer.status, 200, "{answer}");
    assert!(answer.header("Content-Type").is_some_and(|kind| kind.starts_with("text/xml")), "{answer}");
    assert!(answer.text().contains("<Response") && !answer.text().contains("<Message"), "empty TwiML: {answer}");
    security_headers(&answer);

    let row = pipeline.row("messages", answer.id()).await;
    origin(&row, &answer, "sms", "sms-message", "twilio", Verified::Yes);
    columns(
        &row,
        &json!({
            "kind": "message", "provider_message_id": "SMe5baf38e2e6905acbf174e45dc481bba",
            "sender_address": "+14155551438", "sender_name": null, "subject": null, "text": "YES confirm 👍 43210",
            "html": null, "reply_to_id": null, "thread_references": [], "sent_at": null, "truncations": [],
        }),
    );
    assert_eq!(row["recipients"], json!([{"address": "+14155553237", "name": null, "role": "to"}]));
    let conversation = row["conversation"].as_str().unwrap();
    let (first, second) = (conversation.find("+14155551438"), conversation.find("+14155553237"));
    assert!(first.is_some() && first < second, "the two addresses, sorted: {conversation}");
    assert!(conversation.contains("sms-message"), "and the source: {conversation}");
    let attachment = &row["attachments"][0];
    assert_eq!(attachment["content_type"], "image/jpeg");
    assert_eq!(attachment["location"], MESSAGE[9].1);
    assert!(row["metadata"].to_string().contains("SAN FRANCISCO"), "{row:#}");
}

#[tokio::test]
async fn an_sms_by_get_as_twilio_can_be_told_to_send_it() {
    let pipeline = shared::pipeline().await;
    let query =
        urlencoded(&[("MessageSid", "SMget"), ("From", "+14155551438"), ("To", "+14155553237"), ("Body", "by GET")]);
    let path = format!("/v1/sms/sms-message?{query}");
    let signature = twilio(TWILIO, &format!("{PUBLIC_URL}{path}"), &[]);
    let answer = pipeline.post(&Request::get(&path).header("X-Twilio-Signature", signature)).await;
    assert_eq!(answer.status, 200, "{answer}");
    let row = pipeline.row("messages", answer.id()).await;
    columns(&row, &json!({"text": "by GET", "provider_message_id": "SMget", "verified": "yes"}));
    let (body, envelope, _) = raw(&pipeline, &answer).await;
    assert_eq!((body.len(), envelope.method.as_str(), envelope.query.as_deref()), (0, "GET", Some(query.as_str())));
}

#[tokio::test]
async fn a_delivery_status_from_twilio() {
    let pipeline = shared::pipeline().await;
    let sid = "SM0e0b33fe32270c6a163469bff67fba97";
    let status = |state: &str| {
        let fields = [
            ("ErrorCode", "30003"),
            ("MessageStatus", state),
            ("SmsStatus", state),
            ("MessageSid", sid),
            ("SmsSid", sid),
            ("To", "+14155559892"),
            ("From", "+14155556276"),
        ];
        twilio_request(TWILIO, "sms-status", &fields)
    };
    let answer = pipeline.post(&status("undelivered")).await;
    assert_eq!(answer.status, 200, "{answer}");
    let row = pipeline.row("message_statuses", answer.id()).await;
    origin(&row, &answer, "sms", "sms-status", "twilio", Verified::Yes);
    columns(
        &row,
        &json!({
            "kind": "status", "provider_message_id": sid, "status": "undelivered", "error_code": "30003",
            "recipient": "+14155559892",
        }),
    );
    assert!(row.get("occurred_at").is_some(), "{row:#}");
    assert!(pipeline.database.of_request("messages", answer.id()).await.is_empty(), "a status is no message");

    // Another state of the same message is another record; the same state again is a repeat.
    let other = pipeline.post(&status("sent")).await;
    pipeline.row("message_statuses", other.id()).await;
    let repeat = pipeline.post(&status("undelivered")).await;
    let duplicate = pipeline.row("duplicates", repeat.id()).await;
    assert_eq!(duplicate["original_id"], row["id"]);
}

#[tokio::test]
async fn every_record_of_a_batch_has_its_place() {
    let pipeline = shared::pipeline().await;
    let body = r#"[{"message": "first"}, {"message": "second"}, {"message": "third"}]"#;
    let answer = pipeline.post(&Request::json("/v1/form/batch", body)).await;
    let request = answer.accepted();
    pipeline.rows("batch", 3, 0).await;
    let rows = pipeline.database.of_request("messages", request).await;
    for (part, (row, text)) in rows.iter().zip(["first", "second", "third"]).enumerate() {
        let id = id::record_id(received_at(row), request, u32::try_from(part).unwrap());
        columns(row, &json!({"id": id, "part": part, "parts": 3, "text": text}));
    }
}

#[tokio::test]
async fn a_body_over_the_inline_limit_takes_the_other_road() {
    let pipeline = shared::pipeline().await;
    let long = "x".repeat(3 * 512 * 1024 / 2);
    let body = format!(r#"{{"message": "large", "padding": "{long}"}}"#);
    let answer = pipeline.post(&Request::json("/v1/webhook/large", body.clone())).await;
    let row = pipeline.row("messages", answer.accepted()).await;
    origin(&row, &answer, "webhook", "large", "none", Verified::None);
    assert_eq!(row["text"], "large");
    assert_eq!(row["metadata"]["fields"]["padding"].as_str().unwrap().len(), long.len());
    let (_, envelope, _) = raw(&pipeline, &answer).await;
    let reference = envelope.body.expect("a reference to BODIES");
    assert!(reference.fits(body.as_bytes()), "{reference}");
    let chunks = pipeline.broker.count("BODIES", &proto::subject::body(answer.id())).await;
    assert!(chunks >= u64::from(reference.chunks), "{chunks} chunks of {reference}");
}

#[tokio::test]
async fn http2_is_served_on_the_same_port() {
    let pipeline = shared::pipeline().await;
    let request = Request::json("/v1/webhook/any-json", r#"{"message": "over h2"}"#).over_http2();
    let answer = pipeline.post(&request).await;
    security_headers(&answer);
    assert_eq!(pipeline.row("messages", answer.accepted()).await["text"], "over h2");
}

#[tokio::test]
async fn a_trace_reaches_raw() {
    let pipeline = shared::pipeline().await;
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let request = Request::json("/v1/webhook/any-json", r#"{"message": "traced"}"#)
        .header("traceparent", format!("00-{trace}-b7ad6b7169203331-01"));
    let answer = pipeline.post(&request).await;
    answer.accepted();
    let message = pipeline.broker.message("RAW", answer.sequence()).await.unwrap();
    let envelope = RawEnvelope::read(&Headers(&message.headers)).unwrap();
    assert!(envelope.traceparent.is_some_and(|parent| parent.contains(trace)));
}
