//! What the reference says of SMS providers and no sample shows.

use crate::support::{Owned, Source, now, vonage_method};
use http::Method;
use proto::{CanonicalMessage, Channel, Kind, Policy, Verified};
use providers::{Flaw, Record, Scheme, SourceSettings, Verdict, Windows, dedup, find, registry};
use serde_json::Value;

/// Unix seconds at which requests are signed and judged here.
const NOW: i64 = 1_785_564_409;

fn record(provider: &str, request: &Owned) -> Record {
    let adapter = find(Channel::Sms, provider).unwrap();
    let normalized = adapter.normalize(&request.as_raw(adapter, Verified::Yes), &SourceSettings::default());
    assert_eq!(normalized.elements.len(), 1);
    *normalized.elements.into_iter().next().unwrap().unwrap()
}

fn message(provider: &str, request: &Owned) -> CanonicalMessage {
    record(provider, request).message
}

fn metadata(message: &CanonicalMessage) -> Value {
    serde_json::from_str(message.metadata.get()).unwrap()
}

fn form(body: &str) -> Owned {
    Owned::post("application/x-www-form-urlencoded", body.to_owned())
}

fn json(body: &str) -> Owned {
    Owned::post("application/json", body.to_owned())
}

fn get(query: &str) -> Owned {
    let mut request = json("");
    request.method = Method::GET;
    request.headers.clear();
    request.url = format!("{}?{query}", request.url);
    request
}

fn key(provider: &str, request: &Owned, policy: Policy) -> String {
    let windows = Windows { id_ms: 2, content_ms: 1 };
    dedup::key(&record(provider, request), policy, windows, &proto::HashKey::derive(b"k")).0.to_string()
}

const VONAGE: &str = "msisdn=447700900001&to=447700900000&messageId=0A1B&message-timestamp=2026-07-31+11%3A58%3A03";

#[test]
fn vonage_says_the_same_in_the_query_in_a_form_and_in_json() {
    let fields = format!("{VONAGE}&text=a%2Bb&keyword=A&api-key=12&timestamp=1&nonce=2&sig=3");
    let object = r#"{"msisdn":"447700900001","to":"447700900000","messageId":"0A1B","text":"a+b","sig":"4",
        "message-timestamp":"2026-07-31 11:58:03","timestamp":9,"nonce":"8","keyword":"A","api-key":"12"}"#;
    let requests = [get(&fields), form(&fields), json(object)];
    for request in &requests {
        let message = message("vonage", request);
        assert_eq!((message.kind, message.text.as_deref()), (Kind::Message, Some("a+b")));
        assert_eq!(message.sender.as_ref().unwrap().address.as_deref(), Some("+447700900001"));
        assert_eq!(message.sent_at.unwrap().to_string(), "2026-07-31T11:58:03.000Z");
        let expected = serde_json::json!({
            "from_raw": "447700900001", "to_raw": "447700900000", "keyword": "A", "api_key": "12"
        });
        assert_eq!(metadata(&message), expected);
    }
    for policy in [Policy::Auto, Policy::Content] {
        let keys = requests.each_ref().map(|request| key("vonage", request, policy));
        assert!(keys[0] == keys[1] && keys[1] == keys[2], "{policy}");
    }
}

#[test]
fn vonage_parts_with_the_same_text_are_two() {
    let part =
        |number: u32| form(&format!("{VONAGE}&text=ha&concat=true&concat-ref=7&concat-total=2&concat-part={number}"));
    let first = message("vonage", &part(1));
    assert_eq!(first.kind, Kind::MessagePart);
    assert_eq!(metadata(&first)["concat_total"], 2);
    assert_ne!(key("vonage", &part(1), Policy::Content), key("vonage", &part(2), Policy::Content));
    let whole = message("vonage", &form(&format!("{VONAGE}&text=ha&concat=false")));
    assert_eq!(whole.kind, Kind::Message);
}

#[test]
fn vonage_binary_messages_differ_by_their_header_too() {
    let binary = |udh: &str, data: &str| form(&format!("{VONAGE}&type=binary&data={data}&udh={udh}"));
    let read = message("vonage", &binary("050003860201", "00FF"));
    assert_eq!((read.text, read.attachments[0].size), (None, Some(2)));
    assert_ne!(
        key("vonage", &binary("050003860201", "00FF"), Policy::Content),
        key("vonage", &binary("050003860202", "00FF"), Policy::Content)
    );
    let broken = message("vonage", &binary("05", "0Fx"));
    assert!(broken.attachments.is_empty());
    assert_eq!(metadata(&broken)["data"], "0Fx");
}

#[test]
fn vonage_receipts_are_told_apart_by_state_and_handset() {
    let receipt = |status: &str, code: &str| {
        form(&format!(
            "msisdn=447700900001&to=ACME&messageId=0A1B&status={status}&err-code={code}&network-code=23410&price=0.03\
             &scts=2607311158&client-ref=r-1&message-timestamp=2026-07-31+11%3A58%3A03&timestamp=1&nonce=2&sig=3"
        ))
    };
    for status in ["accepted", "delivered", "buffered", "expired", "failed", "rejected", "unknown"] {
        let message = message("vonage", &receipt(status, "6"));
        let fields = message.status.clone().unwrap();
        assert_eq!((message.kind, fields.status.as_str()), (Kind::Status, status));
        assert_eq!(fields.recipient.as_deref(), Some("+447700900001"));
        assert_eq!(fields.error_code.as_deref(), Some("6"));
        assert_eq!(message.sender.as_ref().unwrap().address.as_deref(), Some("ACME"));
        assert_eq!(metadata(&message)["client_ref"], "r-1");
    }
    let delivered = message("vonage", &receipt("delivered", "0"));
    assert_eq!(delivered.status.unwrap().error_code, None);
    let keys = ["delivered", "failed"].map(|status| key("vonage", &receipt(status, "0"), Policy::Auto));
    assert_ne!(keys[0], keys[1]);
}

#[test]
fn vonage_says_nothing_in_a_request_without_id_and_text() {
    let message = message("vonage", &get("hello=1"));
    assert_eq!((message.kind, message.status.unwrap().status.as_str()), (Kind::AccountEvent, "ignored"));
}

/// Signs as the provider does, and sends what came of it.
fn signed(source: &Source, request: &Owned) -> Owned {
    let now = now(&serde_json::json!({ "now": NOW }));
    let signed = source.adapter.sign(&request.as_request(), &source.keyring, &source.scheme, now).unwrap();
    let mut request = request.clone();
    request.headers.extend(signed.headers);
    if let Some(query) = signed.query {
        request.url = format!("{}{}{query}", request.url, if request.url.contains('?') { '&' } else { '?' });
    }
    request.body = signed.body.map_or(request.body, Into::into);
    request
}

fn judge(source: &Source, request: &Owned) -> Verdict {
    let now = now(&serde_json::json!({ "now": NOW }));
    source.adapter.authenticate(&request.as_request(), &source.keyring, &source.scheme, now)
}

#[test]
fn what_vonage_s_sender_signs_verifies_and_is_read() {
    for algorithm in ["md5hash", "md5", "sha1", "sha256", "sha512"] {
        let scheme = Scheme { algorithm: Some(vonage_method(algorithm)), ..Scheme::default() };
        let source = Source::new(Channel::Sms, "vonage", &["secret"], scheme);
        let without = VONAGE.to_owned() + "&text=a%26b%3Dc";
        for request in [get(&without), form(&without), json(r#"{"messageId":"0A1B","text":"a&b=c","sig":"0"}"#)] {
            let request = signed(&source, &request);
            assert_eq!(judge(&source, &request), Verdict::Fits { secret: 0 }, "{algorithm} {request:?}");
            assert_eq!(message("vonage", &request).text.as_deref(), Some("a&b=c"));
        }
        assert_eq!(judge(&source, &form(&without)), Verdict::Wrong(Flaw::Missing));
    }
}

#[test]
fn only_vonage_takes_md5() {
    let scheme =
        Scheme { algorithm: Some(vonage_method("md5")), header: Some("x-signature".to_owned()), ..Scheme::default() };
    for adapter in registry::ALL {
        let settings = format!("{:?}", adapter.keyring(&["secret"], &scheme));
        let takes_algorithm = ["twilio", "hmac", "generic", "none", "jotform", "mime"].contains(&adapter.name());
        assert_eq!(settings.contains("algorithm"), takes_algorithm, "{adapter:?}: {settings}");
    }
}

fn vonage_message(rest: &str) -> Owned {
    json(&format!(
        r#"{{"message_uuid":"u-1","to":"447700900000","from":"447700900001","channel":"whatsapp",
            "timestamp":"2026-07-31T16:53:28.120Z",{rest}}}"#
    ))
}

#[test]
fn vonage_messages_of_every_type_are_read() {
    for kind in ["image", "audio", "video", "file"] {
        let media = format!(
            r#""message_type":"{kind}","{kind}":{{"url":"https://x.example/1","name":"a.bin","caption":"look"}},
               "profile":{{"name":"Jo"}},"context":{{"message_uuid":"u-0"}}"#
        );
        let message = message("vonage-messages", &vonage_message(&media));
        let file = &message.attachments[0];
        assert_eq!(file.location.as_deref(), Some("https://x.example/1"), "{kind}");
        assert_eq!((file.filename.as_deref(), message.text.as_deref()), (Some("a.bin"), Some("look")));
        assert_eq!(message.sender.as_ref().unwrap().name.as_deref(), Some("Jo"));
        assert_eq!(message.reply_to_id.as_deref(), Some("u-0"));
        assert_eq!(message.sent_at.unwrap().to_string(), "2026-07-31T16:53:28.120Z");
    }
    let place = |lat: &str| {
        vonage_message(&format!(r#""message_type":"location","location":{{"lat":{lat},"long":1.50,"name":"Here"}}"#))
    };
    let located = message("vonage-messages", &place("2.0"));
    assert_eq!((located.kind, located.text.as_deref()), (Kind::Message, None));
    assert_eq!(metadata(&located)["location"]["name"], "Here");
    let keys = ["2.0", "3.0"].map(|lat| key("vonage-messages", &place(lat), Policy::Content));
    assert_ne!(keys[0], keys[1]);
    let unknown = message("vonage-messages", &vonage_message(r#""message_type":"hologram","hologram":{"x":[1]}"#));
    assert_eq!((unknown.kind, metadata(&unknown)["hologram"]["x"][0].as_u64()), (Kind::Message, Some(1)));
    let reaction = vonage_message(
        r#""message_type":"reaction","reaction":{"action":"react","emoji":"👍"},"context":{"message_uuid":"u-0"}"#,
    );
    let reaction = message("vonage-messages", &reaction);
    assert_eq!((reaction.kind, reaction.text.as_deref()), (Kind::Reaction, Some("👍")));
    assert_eq!(reaction.reply_to_id.as_deref(), Some("u-0"));
}

#[test]
fn vonage_messages_know_a_user_without_a_number() {
    let body = r#"{"message_uuid":"u-1","to":"447700900000","channel":"whatsapp","message_type":"text","text":"hi",
        "whatsapp":{"sender":{"user_id":"GB.1"}},"profile":{"name":"Jo","username":"jo"}}"#;
    let read = message("vonage-messages", &json(body));
    assert_eq!(read.sender.unwrap().address.as_deref(), Some("bsuid:GB.1"));
    let old = r#"{"message_uuid":"u-1","to":{"type":"sms","number":"447700900000"},"message_type":"text","text":"",
        "from":{"type":"sms","number":"447700900001"}}"#;
    let read = message("vonage-messages", &json(old));
    assert_eq!(read.sender.unwrap().address.as_deref(), Some("+447700900001"));
    assert_eq!(read.text.as_deref(), Some(""));
}

#[test]
fn vonage_messages_states_are_told_apart() {
    let states = ["submitted", "delivered", "read", "rejected", "undeliverable"];
    let requests = states.map(|state| {
        vonage_message(&format!(
            r#""status":"{state}","error":{{"title":"1000","detail":"Throttled"}},"client_ref":"r""#
        ))
    });
    let mut keys = Vec::new();
    for (request, state) in requests.iter().zip(states) {
        let message = message("vonage-messages", request);
        let fields = message.status.clone().unwrap();
        assert_eq!(
            (message.kind, fields.status.as_str(), fields.error_code.as_deref()),
            (Kind::Status, state, Some("1000"))
        );
        assert_eq!(metadata(&message)["error"]["detail"], "Throttled");
        keys.push(key("vonage-messages", request, Policy::Auto));
    }
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), states.len());
    let ignored = message("vonage-messages", &json(r#"{"new":"event"}"#));
    assert_eq!(ignored.status.unwrap().status, "ignored");
}

const MESSAGEBIRD: &str = "id=8f90&recipient=3197010313593&originator=3197010900567&body=a%2Bb";

#[test]
fn messagebird_says_the_same_in_the_query_and_in_the_body() {
    let sent = "createdDatetime=2026-07-31T11:58:03";
    let mut posted = form("");
    posted.url = format!("{}?{MESSAGEBIRD}&{sent}Z", posted.url);
    let object = r#"{"id":"8f90","recipient":3197010313593,"originator":"3197010900567","body":"a+b",
        "createdDatetime":"2026-07-31T11:58:03+00:00"}"#;
    let requests = [
        get(&format!("{MESSAGEBIRD}&{sent}+00:00")),
        get(&format!("{MESSAGEBIRD}&{sent}%2B00%3A00")),
        form(&format!("{MESSAGEBIRD}&{sent}+00:00")),
        posted,
        json(object),
    ];
    for request in &requests {
        let message = message("messagebird", request);
        assert_eq!((message.kind, message.text.as_deref()), (Kind::Message, Some("a+b")), "{request:?}");
        assert_eq!(message.sender.as_ref().unwrap().address.as_deref(), Some("+3197010900567"));
        assert_eq!(message.recipients[0].address.as_deref(), Some("+3197010313593"));
        assert_eq!(message.sent_at.unwrap().to_string(), "2026-07-31T11:58:03.000Z");
        assert_eq!(key("messagebird", request, Policy::Auto), key("messagebird", &requests[0], Policy::Auto));
    }
}

#[test]
fn messagebird_states_are_told_apart() {
    let mut keys = Vec::new();
    for state in ["scheduled", "sent", "buffered", "delivered", "expired", "delivery_failed"] {
        let request = get(&format!(
            "id=50&reference=ref-1&recipient=3197010313593&status={state}&statusDatetime=2026-07-31T11:59:00+00:00\
             &mccmnc=20408&ported=1&statusReason=unknown+subscriber&statusErrorCode=12"
        ));
        let message = message("messagebird", &request);
        let fields = message.status.clone().unwrap();
        assert_eq!((message.kind, fields.status.as_str()), (Kind::Status, state));
        assert_eq!(fields.error_code.as_deref(), Some("12"));
        assert_eq!(fields.recipient.as_deref(), Some("+3197010313593"));
        assert_eq!(fields.occurred_at.unwrap().to_string(), "2026-07-31T11:59:00.000Z");
        assert_eq!(metadata(&message)["status_reason"], "unknown subscriber");
        assert_eq!(metadata(&message)["reference"], "ref-1");
        keys.push(key("messagebird", &request, Policy::Auto));
    }
    let count = keys.len();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), count);
}

fn bird(event: &str, rest: &str) -> Owned {
    let contact = r#"{"contact":{"identifierKey":"phonenumber","identifierValue":"3197010900567"}}"#;
    json(&format!(
        r#"{{"service":"channels","event":"{event}","payload":{{"id":"b-1","channelId":"c","sender":{contact},{rest}}}}}"#
    ))
}

#[test]
fn bird_messages_of_every_body_are_read() {
    let text =
        bird("sms.inbound", r#""body":{"type":"text","text":{"text":"hi"}},"createdAt":"2026-08-01T06:06:47.5Z""#);
    let read = message("bird", &text);
    assert_eq!((read.kind, read.text.as_deref()), (Kind::Message, Some("hi")));
    assert_eq!(read.sender.as_ref().unwrap().address.as_deref(), Some("+3197010900567"));
    assert_eq!(metadata(&read)["from_raw"], "3197010900567");
    assert_eq!(read.sent_at.unwrap().to_string(), "2026-08-01T06:06:47.500Z");
    let image = r#""body":{"type":"image","image":{"text":"look","images":[{"mediaUrl":"https://x.example/1"}]}}"#;
    let read = message("bird", &bird("mms.inbound", image));
    assert_eq!(read.text.as_deref(), Some("look"));
    assert_eq!(read.attachments[0].location.as_deref(), Some("https://x.example/1"));
    let file = r#""body":{"type":"file","file":{"files":[
        {"mediaUrl":"https://x.example/2","filename":"a.pdf","contentType":"application/pdf"}]}}"#;
    let read = message("bird", &bird("sms.inbound", file));
    assert_eq!(read.attachments[0].content_type.as_deref(), Some("application/pdf"));
    let place = |latitude: u32| {
        let body = format!(r#""body":{{"type":"location","location":{{"coordinates":{{"latitude":{latitude}}}}}}}"#);
        bird("sms.inbound", &body)
    };
    assert_ne!(key("bird", &place(1), Policy::Content), key("bird", &place(2), Policy::Content));
}

#[test]
fn bird_states_are_told_apart_and_the_rest_is_kept() {
    let state = |status: &str| bird("sms.outbound", &format!(r#""status":"{status}","reason":"absent subscriber""#));
    let read = message("bird", &state("delivery_failed"));
    assert_eq!((read.kind, read.status.clone().unwrap().status.as_str()), (Kind::Status, "delivery_failed"));
    assert_eq!(metadata(&read)["reason"], "absent subscriber");
    assert_ne!(key("bird", &state("sent"), Policy::Auto), key("bird", &state("delivered"), Policy::Auto));
    for other in [bird("sms.something", r#""status":"x""#), json(r#"{"service":"channels"}"#), json("")] {
        assert_eq!(message("bird", &other).status.unwrap().status, "ignored");
    }
}
