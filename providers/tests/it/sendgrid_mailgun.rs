//! What SendGrid and Mailgun post beyond the samples: character sets, files, retries, and what only looks like a mail.

use crate::support::{Owned, Source};
use proto::canonical::Role;
use proto::{Channel, DedupKey, HashKey, Kind, Policy, Verified};
use providers::{BadReason, Normalized, Record, Scheme, SourceSettings, Windows, dedup};
use serde_json::{Value, json};

const SIGNED: [(&str, &str); 3] = [("timestamp", "1785564407"), ("token", "t0"), ("signature", "s0")];

/// A multipart body: name, what follows it in `Content-Disposition`, bytes.
fn multipart(parts: &[(&str, &str, &[u8])]) -> Owned {
    let mut body = Vec::new();
    for (name, more, bytes) in parts {
        body.extend(format!("--xYzZY\r\nContent-Disposition: form-data; name=\"{name}\"{more}\r\n\r\n").bytes());
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--xYzZY--\r\n");
    Owned::post("multipart/form-data; boundary=xYzZY", body)
}

fn form(pairs: &[(&str, &str)]) -> Owned {
    let escape = |text: &str| text.bytes().flat_map(|byte| ["%".to_owned(), hex::encode([byte])]).collect::<String>();
    let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect();
    Owned::post("application/x-www-form-urlencoded", pairs.join("&"))
}

fn read(provider: &str, request: &Owned) -> Normalized {
    let adapter = providers::find(Channel::Email, provider).unwrap();
    adapter.normalize(&request.as_raw(adapter, Verified::Yes), &SourceSettings::default())
}

fn record(provider: &str, request: &Owned) -> Record {
    let elements = read(provider, request).elements;
    assert_eq!(elements.len(), 1);
    *elements.into_iter().next().unwrap().unwrap()
}

fn metadata(record: &Record) -> Value {
    serde_json::from_str(record.message.metadata.get()).unwrap()
}

fn key(record: &Record) -> DedupKey {
    let windows = Windows { id_ms: 8, content_ms: 1 };
    dedup::key(record, Policy::Auto, windows, &HashKey::derive(b"secret")).0
}

fn reasons(record: &Record) -> Vec<(&str, &str)> {
    record.message.truncations.iter().map(|note| (&*note.field, &*note.reason)).collect()
}

const HEADERS: &[u8] = b"From: Op <op@example.com>\nTo: list@example.org\nMessage-ID: <1@example.com>\n\
                         Date: Fri, 24 Jul 2020 16:43:46 UTC\nSubject: =?cp850?q?Como_usted_pidi=A2?=\n";

#[test]
fn each_field_of_sendgrid_is_decoded_by_its_own_character_set() {
    let charsets = br#"{"to":"UTF-8","html":"iso-8859-1","subject":"cp850","from":"UTF-8","text":"windows-1252"}"#;
    let fields: [(&str, &str, &[u8]); 6] = [
        ("subject", "", b"Como usted pidi\xa2"),
        ("from", "", "Op\u{e9}rateur <op@example.com>".as_bytes()),
        ("to", "", b"list@example.org"),
        ("text", "", b"Test the \x93charsets\x94 \x80"),
        ("html", "", b"<p>\xe9</p>"),
        ("charsets", "", charsets),
    ];
    let without = record("sendgrid", &multipart(&fields)).message;
    assert_eq!(without.subject.as_deref(), Some("Como usted pidió"));
    assert_eq!(without.text.as_deref(), Some("Test the “charsets” €"));
    assert_eq!(without.html.as_deref(), Some("<p>é</p>"));
    assert_eq!(without.sender.unwrap().name.as_deref(), Some("Opérateur"));
    assert!(without.truncations.is_empty());

    // The header says its character sets itself; where it has raw bytes of some other, the fields know better.
    let with =
        |headers: &[u8]| record("sendgrid", &multipart(&[&[("headers", "", headers)], &fields[..]].concat())).message;
    let header = with(HEADERS);
    assert_eq!(
        (header.subject.as_deref(), header.sender.unwrap().name.unwrap()),
        (Some("Como usted pidió"), "Op".to_owned())
    );
    let raw = with(b"From: Op\x82rateur <op@example.com>\nSubject: Como usted pidi\xa2\nMessage-ID: <1@example.com>\n");
    assert_eq!(
        (raw.subject.as_deref(), raw.sender.unwrap().name.unwrap()),
        (Some("Como usted pidió"), "Opérateur".to_owned())
    );
}

#[test]
fn files_of_sendgrid_have_the_names_and_ids_that_stand_beside_them() {
    let info = r#"{"attachment1":{"filename":"../Größe.pdf","name":"x","type":"Application/PDF; x=y"},
                   "attachment2":{"name":"b.png","type":"image/png","content-id":"<two@x>"}}"#;
    let request = multipart(&[
        ("headers", "", HEADERS),
        ("envelope", "", br#"{"to":["a@in.example.com","B@IN.example.com"],"from":""}"#),
        ("attachments", "", b"4"),
        ("attachment-info", "", info.as_bytes()),
        ("content-ids", "", br#"{"three@x":"attachment3"}"#),
        ("spam_score", "", b"0.1"),
        ("SPF", "", b"pass"),
        ("attachment1", "; filename=\"raw\"", b"%PDF"),
        ("attachment2", "", b"\x89PNG\r\n--xYzZYnot\r\n"),
        ("attachment3", "; filename=\"c.bin\"\r\nContent-Type: image/gif", b""),
    ]);
    let record = record("sendgrid", &request);
    let files: Vec<Value> = record
        .message
        .attachments
        .iter()
        .map(|file| json!([file.filename, file.content_type, file.size, file.disposition, file.content_id]))
        .collect();
    let expected = [
        json!(["Größe.pdf", "application/pdf", 4, "attachment", null]),
        json!(["b.png", "image/png", 18, "inline", "two@x"]),
        json!(["c.bin", "image/gif", 0, "inline", "three@x"]),
    ];
    assert_eq!(files, expected);
    assert_eq!(record.files[1].bytes, &b"\x89PNG\r\n--xYzZYnot\r\n"[..]);
    assert!(reasons(&record).contains(&("attachments", "missing")), "four were stated");
    let metadata = metadata(&record);
    assert_eq!((&metadata["envelope_from"], &metadata["spf"]), (&json!(""), &json!("pass")));
    assert_eq!(metadata["envelope_to"], json!(["a@in.example.com", "B@IN.example.com"]));
    let hidden = record.message.recipients.iter().filter(|to| to.role == Role::Bcc);
    assert_eq!(
        hidden.filter_map(|to| to.address.as_deref()).collect::<Vec<_>>(),
        ["a@in.example.com", "B@in.example.com"]
    );
}

#[test]
fn the_same_mail_for_another_recipient_is_another_and_sent_again_is_not() {
    let mail = |to: &str, text: &str| {
        let envelope = format!(r#"{{"to":["{to}"],"from":"op@example.com"}}"#);
        let parts: [(&str, &str, &[u8]); 4] = [
            ("headers", "", HEADERS),
            ("text", "", text.as_bytes()),
            ("envelope", "", envelope.as_bytes()),
            ("sender_ip", "", b"198.51.100.7"),
        ];
        key(&record("sendgrid", &multipart(&parts)))
    };
    assert_eq!(mail("a@x.example", "hi"), mail("a@x.example", "hi"));
    assert_ne!(mail("a@x.example", "hi"), mail("b@x.example", "hi"));
    assert_ne!(mail("a@x.example", "hi"), mail("a@x.example", "ho"), "the sender chose the Message-ID");
}

#[test]
fn what_sendgrid_posts_whole_is_read_as_bytes() {
    let email =
        b"From: a@example.com\r\nTo: b@example.org\r\nSubject: x\r\nContent-Type: text/plain; charset=windows-1252\r\n\
                  Content-Transfer-Encoding: 8bit\r\n\r\ncaf\xe9 \x80\r\n--xYzZ\r\n";
    let record =
        record("sendgrid", &multipart(&[("email", "", email), ("to", "", b"c@example.org"), ("dkim", "", b"none")]));
    assert_eq!(record.message.text.as_deref(), Some("café €\n--xYzZ"));
    assert_eq!(record.message.recipients[0].address.as_deref(), Some("b@example.org"));
    assert_eq!(metadata(&record)["dkim"], "none");
}

#[test]
fn a_form_without_a_mail_is_a_row_that_says_so() {
    let ignored = |provider: &str, request: &Owned| {
        let message = record(provider, request).message;
        assert_eq!((message.kind, message.status.unwrap().status.as_str()), (Kind::AccountEvent, "ignored"));
    };
    ignored("sendgrid", &multipart(&[("hello", "", b"world")]));
    ignored("mailgun", &multipart(&[("hello", "", b"world")]));
    ignored("mailgun", &form(&SIGNED));
    ignored("mailgun", &Owned::post("application/json", r#"{"signature":{}}"#));
    ignored("sendgrid", &Owned::post("application/json", "[]"));
}

#[test]
fn each_event_of_sendgrid_is_a_status_and_a_bad_one_spoils_no_other() {
    let events = r#"[{"email":"Jo@EXAMPLE.com","event":"bounce","status":"5.1.1","sg_event_id":"e1","sg_message_id":"m1","smtp-id":"<1@x>","timestamp":1600112492},
                     7, {"event":"open","email":"b@x.example","sg_message_id":"m2","timestamp":"1600112493"}]"#;
    let read = read("sendgrid", &Owned::post("application/json", events));
    assert_eq!(read.elements[1].as_ref().unwrap_err().reason, BadReason::NotAnObject);
    let first = read.elements[0].as_ref().unwrap();
    let status = first.message.status.as_ref().unwrap();
    assert_eq!(
        (status.status.as_str(), status.recipient.as_deref(), status.error_code.as_deref()),
        ("bounce", Some("Jo@example.com"), Some("5.1.1"))
    );
    assert_eq!(first.message.provider_message_id.as_deref(), Some("m1"));
    assert_eq!(metadata(first)["smtp_id"], "<1@x>");
    let last = read.elements[2].as_ref().unwrap();
    assert_eq!(last.message.sent_at.unwrap().to_string(), "2020-09-14T19:41:33.000Z");
}

const MAIL: [(&str, &str); 8] = [
    ("recipient", "in@x.example"),
    ("sender", "bounce+1@y.example"),
    ("from", "Zoë <z@y.example>"),
    ("subject", "hi"),
    ("body-plain", "two\r\n"),
    ("stripped-text", "two"),
    (
        "message-headers",
        r#"[["From","Zoë <z@y.example>"],["To","a@x.example, b@x.example"],["Subject","hi"],["Message-Id","<1@y.example>"],["X-A","b\r\nBcc: evil@x.example"]]"#,
    ),
    ("Subject", "hi"),
];

#[test]
fn a_retry_of_mailgun_is_the_same_whatever_its_token() {
    let with = |more: &[(&str, &str)]| key(&record("mailgun", &form(&[&MAIL[..], more].concat())));
    let anew = [("timestamp", "1785564999"), ("token", "t1"), ("signature", "s1")];
    assert_eq!(with(&SIGNED), with(&anew));
    assert_eq!(with(&SIGNED), with(&[]));
    let changed = MAIL.map(|(name, value)| (name, if name == "body-plain" { "three" } else { value }));
    assert_ne!(with(&SIGNED), key(&record("mailgun", &form(&changed))));
    let no_utf8 = |token: &str| {
        let body = format!("recipient=a%40x.example&subject=x&body-plain=%e2%82&token={token}");
        record("mailgun", &Owned::post("application/x-www-form-urlencoded", body))
    };
    assert_eq!(no_utf8("1").message.text.as_deref(), Some("â‚"), "no half of a character of UTF-8 is left");
    assert_eq!(key(&no_utf8("1")), key(&no_utf8("2")));
}

#[test]
fn what_mailgun_says_is_told_from_what_the_sender_wrote() {
    let shadow = [
        ("Recipient", "evil@x.example"),
        ("Sender", "evil@x.example"),
        ("Token", "evil"),
        ("Body-Plain", "evil"),
        ("X-Mailgun-Spf", "Pass"),
        ("_domain", "evil"),
    ];
    let record = record("mailgun", &form(&[&shadow[..], &MAIL[..], &SIGNED[..]].concat()));
    let metadata = metadata(&record);
    assert_eq!(
        (&metadata["envelope_to"], &metadata["envelope_from"]),
        (&json!("in@x.example"), &json!("bounce+1@y.example"))
    );
    assert_eq!((&metadata["token"], &metadata["stripped_text"]), (&json!("t0"), &json!("two")));
    assert!(["x_mailgun_spf", "_domain", "recipient", "body_plain"].iter().all(|name| metadata.get(name).is_none()));
    assert!(metadata.get("signature").is_none() && metadata.get("subject").is_none());
    assert_eq!(record.message.text.as_deref(), Some("two"));
    let recipients: Vec<_> =
        record.message.recipients.iter().map(|to| (to.address.as_deref().unwrap(), to.role)).collect();
    assert_eq!(recipients, [("a@x.example", Role::To), ("b@x.example", Role::To), ("in@x.example", Role::Bcc)]);
}

#[test]
fn without_its_headers_a_mail_of_mailgun_is_read_from_the_fields() {
    let fields = [
        ("From", "Jo <jo@y.example>"),
        ("To", "in@x.example"),
        ("Message-Id", "<2@y.example>"),
        ("Date", "Fri, 24 Jul 2020 16:43:46 +0000"),
        ("Received", "a"),
        ("Received", "b"),
        ("body-plain", "x"),
        ("recipient", "in@x.example"),
    ];
    let message = record("mailgun", &form(&fields)).message;
    assert_eq!(message.sender.unwrap().address.as_deref(), Some("jo@y.example"));
    assert_eq!(message.sent_at.unwrap().to_string(), "2020-07-24T16:43:46.000Z");
    let message = record(
        "mailgun",
        &form(&[("from", "Jo <jo@y.example>"), ("subject", "s"), ("body-html", "<b>x</b>"), ("body-plain", "")]),
    )
    .message;
    assert_eq!(
        (message.subject.as_deref(), message.text, message.html.as_deref()),
        (Some("s"), None, Some("<b>x</b>"))
    );
}

#[test]
fn files_of_mailgun_have_the_ids_that_the_map_gives_them() {
    let map =
        r#"{"":"attachment-1","<a@x>":"attachment-2","<a@x>":"attachment-3","<b@x>":"attachment-3","":"attachment-1"}"#;
    let request = multipart(&[
        ("recipient", "", b"in@x.example"),
        ("body-plain", "", b"x"),
        ("body-calendar", "", b"BEGIN:VCALENDAR"),
        ("attachment-count", "", b"4"),
        ("content-id-map", "", map.as_bytes()),
        ("attachment-1", "; filename=\"a.txt\"\r\nContent-Type: text/plain; charset=x", b"1"),
        ("attachment-2", "; filename=\"C:\\b.png\"\r\nContent-Type: image/PNG", b"2"),
        ("attachment-3", "; filename=\"c.png\"\r\nContent-Type: image/png", b"3"),
    ]);
    let record = record("mailgun", &request);
    let files: Vec<Value> = record
        .message
        .attachments
        .iter()
        .map(|file| json!([file.filename, file.content_type, file.disposition, file.content_id]))
        .collect();
    let expected = [
        json!([null, "text/calendar", "inline", null]),
        json!(["a.txt", "text/plain", "attachment", null]),
        json!(["b.png", "image/png", "inline", "a@x"]),
        json!(["c.png", "image/png", "inline", "a@x"]),
    ];
    assert_eq!(files, expected);
    assert!(reasons(&record).contains(&("attachments", "missing")), "four files were stated, and a body is none");
}

#[test]
fn an_event_of_mailgun_is_known_by_its_id() {
    let event = |id: &str, token: &str| {
        let body = json!({
            "signature": { "timestamp": "1", "token": token, "signature": "x" },
            "event-data": {
                "event": "failed", "severity": "permanent", "id": id, "timestamp": 1_785_564_405.75, "recipient": "Jo@X.example",
                "message": { "headers": { "message-id": "<m@y.example>" } },
                "delivery-status": { "code": 550, "message": "5.1.1 unknown" }, "user-variables": { "a": 1 }
            }
        });
        record("mailgun", &Owned::post("application/json", body.to_string()))
    };
    let failed = event("e1", "t1");
    let status = failed.message.status.as_ref().unwrap();
    assert_eq!(
        (status.status.as_str(), status.recipient.as_deref(), status.error_code.as_deref()),
        ("failed", Some("Jo@x.example"), Some("550"))
    );
    assert_eq!(status.occurred_at.unwrap().to_string(), "2026-08-01T06:06:45.750Z");
    assert_eq!(failed.message.provider_message_id.as_deref(), Some("m@y.example"));
    let metadata = metadata(&failed);
    assert_eq!(
        (&metadata["severity"], &metadata["event_id"], &metadata["user_variables"]["a"]),
        (&json!("permanent"), &json!("e1"), &json!(1))
    );
    assert_eq!(key(&failed), key(&event("e1", "t2")));
    assert_ne!(key(&failed), key(&event("e2", "t1")));
}

#[test]
fn a_mail_with_thousands_of_headers_is_taken_and_one_with_too_many_is_put_aside() {
    let many = |count: usize| {
        let received: [(&str, &str, &[u8]); 1] = [("Received", "", b"x")];
        let parts =
            [vec![("recipient", "", &b"in@x.example"[..]), ("body-plain", "", b"x")], received.repeat(count)].concat();
        read("mailgun", &multipart(&parts)).elements.remove(0)
    };
    assert!(many(3_000).is_ok());
    assert_eq!(many(10_000).unwrap_err().reason, BadReason::TooMany);
}

#[test]
fn a_secret_of_neither_provider_is_of_the_wrong_kind() {
    let adapter = |provider: &str| providers::find(Channel::Email, provider).unwrap();
    assert!(adapter("mailgun").keyring(&[], &Scheme::default()).is_err(), "Mailgun always signs");
    assert!(adapter("sendgrid").keyring(&[], &Scheme::default()).is_ok(), "SendGrid need not");
    let source = Source::new(Channel::Email, "sendgrid", &["parse:secret"], Scheme::default());
    let request = multipart(&[("subject", "", b"x")]);
    let verdict = |request: &Owned| {
        let now = proto::Millis::from_unix(0).unwrap();
        source.adapter.authenticate(&request.as_request(), &source.keyring, &source.scheme, now).verified()
    };
    assert_eq!(verdict(&request), Verified::No);
    assert_eq!(verdict(&request.with("Authorization", "Basic cGFyc2U6c2VjcmV0")), Verified::Yes);
}
