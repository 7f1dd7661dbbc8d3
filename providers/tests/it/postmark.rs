//! Postmark beyond the samples: files, what the test button sends, every event, and fields that are missing.

use crate::support::Owned;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proto::{Channel, HashKey, Kind, Policy, Role, Verified};
use providers::{Record, SourceSettings, Windows, dedup};
use serde_json::{Value, json};

fn records(payload: &str) -> Vec<Record> {
    let adapter = providers::find(Channel::Email, "postmark").unwrap();
    let raw = Owned::post("application/json", payload.to_owned()).as_raw(adapter, Verified::Yes);
    let elements = adapter.normalize(&raw, &SourceSettings::default()).elements;
    elements.into_iter().map(|element| *element.unwrap()).collect()
}

fn record(payload: &str) -> Record {
    let [record] = <[Record; 1]>::try_from(records(payload)).unwrap();
    record
}

fn metadata(record: &Record) -> Value {
    serde_json::from_str(record.message.metadata.get()).unwrap()
}

#[test]
fn files_are_decoded_whatever_their_field_is_called_and_however_slashes_are_written() {
    let bytes: Vec<u8> = (0..=255).collect();
    let content = STANDARD.encode(&bytes).replace('/', "\\/");
    let record = record(&format!(
        r#"{{"FromFull":{{"Email":"a@B.Example"}},"TextBody":"t","Attachments":[
            {{"Name":"a.bin","Content":"{content}","ContentType":"application/octet-stream","ContentLength":256}},
            {{"Name":"b.png","Data":"{content}","ContentType":"IMAGE/PNG; name=b","ContentID":"<b@x>"}},
            {{"Name":"c.txt","Content":"","ContentType":"text/plain"}}]}}"#
    ));
    let files = &record.message.attachments;
    let said: Vec<_> = files.iter().map(|file| (file.filename.as_deref().unwrap(), file.size.unwrap())).collect();
    assert_eq!(said, [("a.bin", 256), ("b.png", 256), ("c.txt", 0)]);
    assert_eq!(files[0].disposition.as_deref(), Some("attachment"));
    assert_eq!(files[1].disposition.as_deref(), Some("inline"));
    assert_eq!(files[1].content_id.as_deref(), Some("b@x"));
    assert_eq!(files[1].content_type.as_deref(), Some("image/png"));
    assert_eq!(record.files[1].bytes, bytes);
    assert_eq!(files[1].blake3, Some(blake3::hash(&bytes).to_hex().to_string()));
    assert!(record.message.truncations.is_empty());
}

#[test]
fn a_file_that_is_no_base64_is_kept_as_far_as_it_is_and_noted() {
    let record = record(r#"{"FromFull":{},"TextBody":"t","Attachments":[{"Name":"a","Content":"aGVs*bG8="}]}"#);
    assert_eq!(record.files[0].bytes.as_ref(), b"hello");
    assert_eq!(record.message.truncations[0].field, "attachments");
}

#[test]
fn who_it_is_from_and_for_is_read_from_its_parts_and_without_them_from_the_fields() {
    let full = record(
        r#"{"RecordType":"Inbound","FromFull":{"Email":"ida@Example.org","Name":"Ida"},
            "ToFull":[{"Email":"a@x.example","Name":""},{"Email":"b@x.example","Name":"B"}],
            "CcFull":[{"Email":"c@x.example"}],"BccFull":[{"Email":"d@x.example"}],
            "OriginalRecipient":"d@x.example","Subject":"=?utf-8?q?as it is?=","Date":"Sat, 1 Aug 2026 01:38:20 -0400",
            "Headers":[{"Name":"Return-Path","Value":"<bounce@example.org>"},{"Name":"In-Reply-To","Value":"<p@x>"},
            {"Name":"References","Value":"<r@x> <p@x>"},{"Name":"Message-ID","Value":"<m@x>"}],
            "HtmlBody":"<p>h</p>\r\n","StrippedTextReply":"short","MailboxHash":"abc","Tag":"","MessageStream":"inbound"}"#,
    );
    let message = &full.message;
    let sender = message.sender.as_ref().unwrap();
    assert_eq!((sender.address.as_deref(), sender.name.as_deref()), (Some("ida@example.org"), Some("Ida")));
    let to: Vec<_> = message.recipients.iter().map(|to| (to.address.as_deref().unwrap(), to.role)).collect();
    let expected =
        [("a@x.example", Role::To), ("b@x.example", Role::To), ("c@x.example", Role::Cc), ("d@x.example", Role::Bcc)];
    assert_eq!(to, expected);
    assert_eq!(message.subject.as_deref(), Some("=?utf-8?q?as it is?="), "it is decoded already");
    assert_eq!(message.reply_to_id.as_deref(), Some("p@x"));
    assert_eq!(message.conversation.as_deref(), Some("r@x"));
    assert_eq!(message.html.as_deref(), Some("<p>h</p>"));
    assert_eq!(message.sent_at.unwrap().to_string(), "2026-08-01T05:38:20.000Z");
    let metadata = metadata(&full);
    assert_eq!(metadata["envelope_from"], "bounce@example.org");
    assert_eq!(metadata["envelope_to"], "d@x.example");
    assert_eq!((&metadata["stripped_text_reply"], &metadata["mailbox_hash"]), (&json!("short"), &json!("abc")));
    assert_eq!(metadata["message_id"], "m@x");
    assert!(metadata.get("tag").is_none());

    let plain =
        record(r#"{"From":"ida@example.org","To":"\"A, B\" <a@x.example>, c@x.example","Subject":"s","TextBody":"t"}"#);
    assert_eq!(plain.message.sender.unwrap().address.as_deref(), Some("ida@example.org"));
    let to: Vec<_> = plain.message.recipients.iter().map(|to| to.address.as_deref().unwrap()).collect();
    assert_eq!(to, ["a@x.example", "c@x.example"]);
}

#[test]
fn the_whole_message_goes_before_what_postmark_read_in_it() {
    let raw = "From: =?utf-8?q?=C3=89va?= <eva@x.example>\\r\\nTo: a@x.example\\r\\nMessage-ID: <real@x>\\r\\n\\r\\nbody \\ud83d\\ude00\\r\\n";
    let record = record(&format!(
        r#"{{"FromFull":{{"Email":"other@x.example"}},"TextBody":"x","Attachments":[{{"Name":"n","Content":"eA=="}}],
            "MessageID":"postmark","OriginalRecipient":"a@x.example","RawEmail":"{raw}"}}"#
    ));
    assert_eq!(record.message.sender.as_ref().unwrap().name.as_deref(), Some("Éva"));
    assert_eq!(record.message.text.as_deref(), Some("body 😀"));
    assert_eq!(record.message.provider_message_id.as_deref(), Some("postmark"));
    assert!(record.message.attachments.is_empty());
    assert_eq!(metadata(&record)["message_id"], "real@x");
}

const EVENTS: [(&str, &str, &str, &str); 6] = [
    ("Bounce", "BouncedAt", "Email", "bounce"),
    ("Delivery", "DeliveredAt", "Recipient", "delivery"),
    ("SpamComplaint", "BouncedAt", "Email", "spam_complaint"),
    ("Open", "ReceivedAt", "Recipient", "open"),
    ("Click", "ReceivedAt", "Recipient", "click"),
    ("SubscriptionChange", "ChangedAt", "Recipient", "subscription_change"),
];

fn event(record_type: &str, time: &str, recipient: &str, more: &Value) -> String {
    let mut event =
        json!({ "RecordType": record_type, "MessageID": "m1", "ServerID": 23, "TypeCode": 1, "From": "us@x.example" });
    event[time] = json!("2026-08-01T01:06:40.9070259-05:00");
    event[recipient] = json!("Gone@Orchid.example");
    for (name, value) in more.as_object().unwrap() {
        event[name] = value.clone();
    }
    event.to_string()
}

#[test]
fn every_event_is_a_status_of_the_mail_it_is_about() {
    for (record_type, time, recipient, state) in EVENTS {
        let record =
            record(&event(record_type, time, recipient, &json!({ "Tag": "welcome", "Metadata": { "a": "b" } })));
        let message = &record.message;
        assert_eq!((message.kind, message.provider_message_id.as_deref()), (Kind::Status, Some("m1")), "{record_type}");
        let status = message.status.as_ref().unwrap();
        assert_eq!(status.status, state);
        assert_eq!(status.occurred_at.unwrap().to_string(), "2026-08-01T06:06:40.907Z");
        assert_eq!(status.recipient.as_deref(), Some("Gone@orchid.example"));
        assert_eq!(status.error_code.as_deref(), Some("1"));
        let metadata = metadata(&record);
        assert_eq!((&metadata["server_id"], &metadata["tag"]), (&json!(23), &json!("welcome")));
        assert_eq!((&metadata["metadata"], &metadata["from"]), (&json!({ "a": "b" }), &json!("us@x.example")));
    }
}

#[test]
fn what_happens_again_to_a_mail_is_another_record_and_what_is_sent_again_is_not() {
    let windows = Windows { id_ms: 2, content_ms: 1 };
    let key = |more: Value| {
        let record = record(&event("Click", "ReceivedAt", "Recipient", &more));
        dedup::key(&record, Policy::Auto, windows, &HashKey::derive(b"secret")).0
    };
    let first = json!({ "OriginalLink": "https://x.example/1", "MessageStream": "outbound" });
    assert_eq!(key(first.clone()), key(first.clone()));
    assert_ne!(key(first.clone()), key(json!({ "OriginalLink": "https://x.example/2" })));
    assert_ne!(
        key(first.clone()),
        key(json!({ "OriginalLink": "https://x.example/1", "ReceivedAt": "2026-08-01T07:00:00Z" }))
    );
    assert_ne!(key(first.clone()), key(json!({ "OriginalLink": "https://x.example/1", "Recipient": "b@x.example" })));
    assert_ne!(key(first.clone()), key(json!({ "OriginalLink": "https://x.example/1", "RecordType": "Open" })));
}

#[test]
fn what_postmark_may_add_is_kept() {
    let known_mail = record(&event("SmtpApiError", "ReceivedAt", "Recipient", &json!({})));
    assert_eq!(known_mail.message.kind, Kind::Status);
    assert_eq!(known_mail.message.status.unwrap().status, "smtp_api_error");
    let of_account = record(r#"{"RecordType":"Suspended","ServerID":1}"#);
    assert_eq!(of_account.message.kind, Kind::AccountEvent);
    let nothing = record(r#"{"hello":"there"}"#);
    assert_eq!(nothing.message.status.as_ref().unwrap().status, "ignored");
    assert_eq!(metadata(&nothing)["fields"], json!({ "hello": "there" }));
    let mail = record(r#"{"From":"a@x.example","TextBody":"t","SpamStatus":{"Score":1},"Subject":"\ud800"}"#);
    assert_eq!(metadata(&mail)["spam_status"], json!({ "Score": 1 }));
    assert_eq!(mail.message.truncations[0].reason, "surrogate");
}
