//! What providers of text messages may send and seldom do: other spellings, missing fields, repeated names, times with
//! and without a zone, codes that say that there was no error. Nothing of it is lost, and no two are taken for one.

use crate::support::Owned;
use http::Method;
use proto::{CanonicalMessage, Channel, Kind, Policy, Verified};
use providers::{Record, Scheme, SourceSettings, Windows, dedup, find};
use serde_json::{Value, json};

fn records(provider: &str, request: &Owned) -> Vec<Record> {
    let adapter = find(Channel::Sms, provider).unwrap();
    let normalized = adapter.normalize(&request.as_raw(adapter, Verified::Yes), &SourceSettings::default());
    normalized.elements.into_iter().map(|element| *element.unwrap()).collect()
}

fn message(provider: &str, request: &Owned) -> CanonicalMessage {
    let [record] = records(provider, request).try_into().unwrap();
    record.message
}

fn metadata(message: &CanonicalMessage) -> Value {
    serde_json::from_str(message.metadata.get()).unwrap()
}

fn keys(provider: &str, request: &Owned, policy: Policy) -> Vec<String> {
    let windows = Windows { id_ms: 2, content_ms: 1 };
    let key = |record: &Record| dedup::key(record, policy, windows, &proto::HashKey::derive(b"k")).0.to_string();
    records(provider, request).iter().map(key).collect()
}

fn form(body: &str) -> Owned {
    Owned::post("application/x-www-form-urlencoded", body.to_owned())
}

fn posted(body: &Value) -> Owned {
    Owned::post("application/json", body.to_string())
}

#[test]
fn a_time_is_read_with_every_zone_and_kept_as_it_was_where_it_cannot_be() {
    let vonage = |time: &str| form(&format!("messageId=1&msisdn=447700900001&text=x&message-timestamp={time}"));
    let zones = ["", "Z", "+%2B0000", "+%2B00%3A00", "++0000", "+UTC", ".000+%2B00", "%2B0000"];
    for zone in zones {
        let message = message("vonage", &vonage(&format!("2026-07-31+11%3A58%3A03{zone}")));
        assert_eq!(message.sent_at.map(|time| time.to_string()).as_deref(), Some("2026-07-31T11:58:03.000Z"), "{zone}");
        assert_eq!(metadata(&message)["message_timestamp"], Value::Null);
    }
    let odd = message("vonage", &vonage("yesterday"));
    assert_eq!((odd.sent_at, &metadata(&odd)["message_timestamp"]), (None, &json!("yesterday")));
    let odd = message("messagebird", &form("id=1&originator=31&body=x&createdDatetime=yesterday"));
    assert_eq!((odd.sent_at, &metadata(&odd)["created_datetime"]), (None, &json!("yesterday")));
    let odd = posted(&json!({ "message_uuid": "u", "message_type": "text", "text": "x", "timestamp": "yesterday" }));
    let odd = message("vonage-messages", &odd);
    assert_eq!((odd.sent_at, &metadata(&odd)["timestamp"]), (None, &json!("yesterday")));
    let report = json!({ "type": "recipient_delivery_report_sms", "batch_id": "B", "recipient": "14155557225",
        "status": "Delivered", "code": 0, "at": "2026-07-31T11:58:03.000" });
    let report = message("sinch", &posted(&report));
    assert_eq!(report.sent_at.unwrap().to_string(), "2026-07-31T11:58:03.000Z", "without a zone it is UTC");
}

#[test]
fn a_code_that_says_no_error_is_none() {
    let code = |provider: &str, request: &Owned| message(provider, request).status.unwrap().error_code;
    for zero in ["0", "000"] {
        let receipt = form(&format!("messageId=1&msisdn=447700900001&to=ACME&status=delivered&err-code={zero}"));
        assert_eq!(code("vonage", &receipt), None);
        assert_eq!(code("plivo", &form(&format!("MessageUUID=1&Status=delivered&ErrorCode={zero}"))), None);
        assert_eq!(metadata(&message("vonage", &receipt))["error_code"], zero);
    }
    let report = json!({ "type": "recipient_delivery_report_sms", "batch_id": "B", "recipient": "14155557225",
        "status": "Delivered", "code": 0 });
    assert_eq!(code("sinch", &posted(&report)), None);
    assert_eq!(code("plivo", &form("MessageUUID=1&Status=failed&ErrorCode=030")).as_deref(), Some("030"));
}

#[test]
fn what_comes_twice_is_kept_twice() {
    for provider in ["twilio", "plivo", "messagebird"] {
        let one = match provider {
            "twilio" => "MessageSid=1&Body=a&x=1",
            "plivo" => "MessageUUID=1&Text=a&x=1",
            _ => "id=1&body=a&originator=31&x=1",
        };
        let metadata = metadata(&message(provider, &form(&format!("{one}&x=2&x=3"))));
        assert_eq!(metadata["x"], json!(["1", "2", "3"]), "{provider}");
    }
    let twice = message("twilio", &form("MessageSid=1&Body=a&Body=b"));
    assert_eq!((twice.text.as_deref(), &metadata(&twice)["body"]), (Some("a"), &json!(["a", "b"])));
}

#[test]
fn a_field_whose_name_is_taken_gets_another() {
    let read = message("twilio", &form("MessageSid=1&Body=x&From=%2B1+415+5551438&FromCity=A&from_city=B&from_raw=C"));
    let metadata = metadata(&read);
    for (name, value) in
        [("from_city", "A"), ("from_city (1)", "B"), ("from_raw", "+1 415 5551438"), ("from_raw (2)", "C")]
    {
        assert_eq!(metadata[name], value, "{name}");
    }
    let read = message(
        "vonage-messages",
        &posted(&json!({ "message_uuid": "u", "text": "x", "from": "447700900001", "from_raw": 7 })),
    );
    assert_eq!(self::metadata(&read)["from_raw (1)"], 7);
}

#[test]
fn a_text_without_an_id_is_a_message() {
    let texts = [
        ("twilio", form("From=%2B14155551438&To=72345&Body=hi")),
        ("messagebird", form("originator=3197010900567&recipient=72345&body=hi")),
        ("vonage", form("msisdn=14155551438&to=72345&text=hi")),
        ("plivo", form("From=14155551438&To=72345&Text=hi")),
        ("sinch", posted(&json!({ "type": "mo_text", "from": "14155551438", "to": "72345", "body": "hi" }))),
        ("vonage-messages", posted(&json!({ "from": "14155551438", "to": "72345", "text": "hi" }))),
    ];
    for (provider, request) in texts {
        let message = message(provider, &request);
        assert_eq!((message.kind, message.text.as_deref()), (Kind::Message, Some("hi")), "{provider}");
        assert_eq!(message.recipients[0].address.as_deref(), Some("72345"), "{provider}");
        assert_eq!(metadata(&message)["text"], Value::Null, "{provider}: what has a column is not told twice");
    }
}

#[test]
fn twilio_says_how_many_media_there_are_and_is_not_believed() {
    let read = message("twilio", &form("MessageSid=1&Body=&NumMedia=3&MediaUrl1=https%3A%2F%2Fm.example%2F1"));
    assert_eq!(read.attachments.len(), 1);
    assert_eq!(read.attachments[0].location.as_deref(), Some("https://m.example/1"));
    let null = posted(&json!({ "MessageSid": "1", "Body": "x", "AddOns": null, "NumMedia": 0 }));
    assert_eq!(metadata(&message("twilio", &null))["add_ons"], Value::Null);
}

/// Bytes that fit no character set all become U+FFFD.
#[test]
fn texts_that_cannot_be_decoded_are_not_equal_for_that() {
    for provider in ["twilio", "plivo", "messagebird", "vonage"] {
        let key = |byte: &str| {
            let body = format!("_charset_=utf-8&Body={byte}&Text={byte}&body={byte}&text={byte}");
            keys(provider, &form(&body), Policy::Content)
        };
        assert_ne!(key("%ff"), key("%fe"), "{provider}");
    }
}

#[test]
fn twilio_has_no_algorithm_that_twilio_does_not_have() {
    use providers::Algorithm::{Sha1, Sha256, Sha512};
    let adapter = find(Channel::Sms, "twilio").unwrap();
    for (algorithm, fits) in [(Sha1, true), (Sha256, true), (Sha512, false)] {
        let scheme = Scheme { algorithm: Some(algorithm), ..Scheme::default() };
        assert_eq!(adapter.keyring(&["secret"], &scheme).is_ok(), fits, "{algorithm:?}");
    }
}

#[test]
fn vonage_keeps_what_says_of_a_message_that_it_is_no_part() {
    let whole = message("vonage", &form("messageId=1&msisdn=447700900001&text=x&concat=false&concat-ref=7"));
    assert_eq!((whole.kind, &metadata(&whole)["concat_ref"]), (Kind::Message, &json!("7")));
}

/// Vonage may stamp a receipt anew when it sends it again.
#[test]
fn a_vonage_receipt_that_is_sent_again_is_the_same_content() {
    let receipt = |stamp: &str, id: &str| {
        let body = format!("messageId={id}&msisdn=447700900001&to=ACME&status=delivered&err-code=0&scts=2607311158");
        keys("vonage", &form(&format!("{body}&{stamp}")), Policy::Content)
    };
    let first = receipt("message-timestamp=2026-07-31+11%3A58%3A03&timestamp=1&nonce=a&sig=b", "1");
    assert_eq!(first, receipt("message-timestamp=2026-07-31+11%3A59%3A03&timestamp=2&nonce=c&sig=d", "1"));
    assert_ne!(first, receipt("message-timestamp=2026-07-31+11%3A58%3A03&timestamp=1&nonce=a&sig=b", "2"));
}

#[test]
fn a_binary_message_with_a_part_s_header_is_read_alike_everywhere() {
    let vonage = "messageId=1&msisdn=447700900001&to=447700900000&type=binary&data=000102&udh=050003860201";
    let sinch = json!({ "type": "mo_binary", "id": "1", "from": "447700900001", "to": "447700900000",
        "body": "AAEC", "udh": "050003860201" });
    for (provider, request) in [("vonage", form(vonage)), ("sinch", posted(&sinch))] {
        let read = message(provider, &request);
        assert_eq!((read.kind, read.attachments[0].size), (Kind::Message, Some(3)), "{provider}");
        let metadata = metadata(&read);
        let place = ["udh", "concat_ref", "concat_total", "concat_part"].map(|name| metadata[name].clone());
        assert_eq!(place, [json!("050003860201"), json!(0x86), json!(2), json!(1)], "{provider}");
    }
}

#[test]
fn vonage_messages_know_an_account_that_is_no_number() {
    let message = message(
        "vonage-messages",
        &posted(&json!({ "message_uuid": "u", "channel": "messenger", "message_type": "text", "text": "hi",
            "from": "123456789012345", "to": "1234567890" })),
    );
    assert_eq!(message.sender.unwrap().address.as_deref(), Some("123456789012345"));
    assert_eq!(message.recipients[0].address.as_deref(), Some("1234567890"));
}

#[test]
fn messagebird_has_messages_without_a_body() {
    let read = message("messagebird", &form("id=1&originator=3197010900567&recipient=3197010313593"));
    assert_eq!((read.kind, read.text), (Kind::Message, None));
}

#[test]
fn bird_says_which_account_it_was_and_nothing_is_left_out() {
    let body = json!({ "service": "channels", "event": "sms.inbound", "attempt": 2, "payload": {
        "id": "b", "sender": { "contact": { "id": "c-1", "identifierKey": "phonenumber", "identifierValue": "+31612345678" } },
        "receiver": { "connector": { "id": "k-1" } }, "body": { "type": "text", "text": { "text": "hi" } },
        "createdAt": "yesterday" } });
    let metadata = metadata(&message("bird", &posted(&body)));
    assert_eq!(metadata["receiver"]["connector"]["id"], "k-1");
    assert_eq!(metadata["sender"]["contact"]["id"], "c-1");
    assert_eq!((&metadata["service"], &metadata["attempt"]), (&json!("channels"), &json!(2)));
    assert_eq!(metadata["created_at"], "yesterday");
    let files: Vec<Value> = (0..101).map(|n| json!({ "mediaUrl": format!("https://m.example/{n}") })).collect();
    let body = json!({ "event": "mms.inbound", "payload": { "id": "b", "body": { "type": "file", "file": { "files": files } } } });
    let many = message("bird", &posted(&body));
    assert_eq!((many.attachments.len(), many.truncations[0].field.as_str()), (100, "attachments"));
}

#[test]
fn sinch_reports_of_two_batches_or_two_codes_are_two() {
    let report = |batch: &str, statuses: Value| {
        posted(&json!({ "type": "delivery_report_sms", "batch_id": batch, "statuses": statuses }))
    };
    let delivered = || json!([{ "code": 0, "status": "Delivered", "recipients": ["14155557225"] }]);
    for policy in [Policy::Auto, Policy::Content] {
        let [one, other] = ["B1", "B2"].map(|batch| keys("sinch", &report(batch, delivered()), policy));
        assert_ne!(one, other, "{policy}");
        let summary = json!([
            { "code": 402, "status": "Failed", "count": 1 },
            { "code": 405, "status": "Failed", "count": 1 },
        ]);
        let [one, other] = keys("sinch", &report("B1", summary), policy).try_into().unwrap();
        assert_ne!(one, other, "{policy}");
    }
}

#[test]
fn sinch_may_write_a_number_as_one() {
    let body = json!({ "type": "mo_text", "id": 7, "from": 14_155_551_438_u64, "to": 72345, "body": "hi" });
    let read = message("sinch", &posted(&body));
    assert_eq!(read.provider_message_id.as_deref(), Some("7"));
    assert_eq!(read.sender.unwrap().address.as_deref(), Some("+14155551438"));
}

#[test]
fn a_text_with_a_state_is_a_message_and_its_state_is_kept() {
    for (provider, body) in [
        ("plivo", "MessageUUID=1&Status=received&Text=hi&From=14155551438"),
        ("vonage", "messageId=1&status=received&text=hi&msisdn=14155551438"),
        ("messagebird", "id=1&status=received&body=hi&originator=14155551438"),
    ] {
        let read = message(provider, &form(body));
        assert_eq!((read.kind, read.text.as_deref()), (Kind::Message, Some("hi")), "{provider}");
        assert_eq!(metadata(&read)["status"], "received", "{provider}");
    }
    let mut get = form("");
    get.method = Method::GET;
    get.url = format!("{}?MessageUUID=1&Status=sent&Text=", get.url);
    assert_eq!(message("plivo", &get).kind, Kind::Status, "an empty text is none");
}
