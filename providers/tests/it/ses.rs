//! Amazon SES beyond its samples: mail in every form it comes in, every event of mail that was sent, and what is neither.

use crate::support::Owned;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proto::{Channel, Kind, Role, Verified};
use providers::{BadReason, Identity, Normalized, Record, SourceSettings};
use serde_json::{Value, json};

const MAIL: &str = "From: Jo <jo@a.example>\r\nTo: in@b.example\r\nMessage-ID: <m1@a.example>\r\nSubject: Hi\r\n\
                    Date: Sat, 01 Aug 2026 05:30:07 +0000\r\n\r\nGr\u{fc}\u{df}e\r\n";

fn read(body: impl Into<bytes::Bytes>) -> Normalized {
    let adapter = providers::find(Channel::Email, "ses").unwrap();
    let raw = Owned::post("text/plain; charset=UTF-8", body).as_raw(adapter, Verified::Yes);
    adapter.normalize(&raw, &SourceSettings::default())
}

fn enveloped(message: &Value) -> String {
    let message = message.as_str().map_or_else(|| message.to_string(), str::to_owned);
    json!({
        "Type": "Notification", "MessageId": "n1", "TopicArn": "arn:aws:sns:eu-west-1:1:t", "Message": message,
        "Timestamp": "2026-08-01T06:06:48.000Z", "SignatureVersion": "2", "Signature": "x",
        "SigningCertURL": "https://sns.eu-west-1.amazonaws.com/a.pem",
    })
    .to_string()
}

fn records(message: &Value) -> Vec<Record> {
    read(enveloped(message)).elements.into_iter().map(|element| *element.unwrap()).collect()
}

fn only(message: &Value) -> Record {
    let mut records = records(message);
    assert_eq!(records.len(), 1);
    records.remove(0)
}

fn metadata(record: &Record) -> Value {
    serde_json::from_str(record.message.metadata.get()).unwrap()
}

fn received(action: &Value, content: Option<&str>, mail: &Value) -> Value {
    let mut message = json!({
        "notificationType": "Received",
        "mail": {
            "timestamp": "2026-08-01T06:06:47.000Z", "source": "bounces@a.example", "messageId": "ses1",
            "destination": ["in@b.example", "other@b.example"], "headersTruncated": false, "headers": [],
            "commonHeaders": {},
        },
        "receipt": {
            "timestamp": "2026-08-01T06:06:47.000Z", "processingTimeMillis": 301, "recipients": ["in@b.example"],
            "spamVerdict": { "status": "PASS" }, "virusVerdict": { "status": "FAIL" }, "spfVerdict": { "status": "GRAY" },
            "dkimVerdict": { "status": "PROCESSING_FAILED" }, "dmarcVerdict": { "status": "PASS" }, "dmarcPolicy": "none",
            "action": action,
        },
    });
    message["mail"].as_object_mut().unwrap().extend(mail.as_object().unwrap().clone());
    if let Some(content) = content {
        message["content"] = content.into();
    }
    message
}

#[test]
fn a_mail_is_the_same_in_every_encoding_and_with_or_without_envelope() {
    let sns = |encoding: &str| json!({ "type": "SNS", "encoding": encoding });
    let folded = STANDARD.encode(MAIL).as_bytes().chunks(20).map(|line| [line, b"\r\n"].concat()).collect::<Vec<_>>();
    let folded = String::from_utf8(folded.concat()).unwrap();
    let utf8 = received(&sns("UTF8"), Some(MAIL), &json!({}));
    let base64 = received(&sns("BASE64"), Some(&folded), &json!({}));
    let silent = received(&json!({ "type": "SNS" }), Some(MAIL), &json!({}));
    let raw = read(utf8.to_string()).elements.remove(0).unwrap();
    let (utf8, base64, silent) = (only(&utf8), only(&base64), only(&silent));
    for record in [&utf8, &base64, &silent, &*raw] {
        let message = &record.message;
        assert_eq!(message.kind, Kind::Message);
        assert_eq!(message.provider_message_id.as_deref(), Some("ses1"));
        assert_eq!((message.text.as_deref(), message.subject.as_deref()), (Some("Gr\u{fc}\u{df}e"), Some("Hi")));
        assert_eq!(message.recipients.len(), 1, "only the rule's recipients, who are named in the header");
        assert_eq!((&record.identity, &record.content), (&utf8.identity, &utf8.content));
        let metadata = metadata(record);
        assert_eq!(metadata["message_id"], "m1@a.example");
        assert_eq!(metadata["envelope_from"], "bounces@a.example");
        let verdicts =
            ["spam", "virus", "spf", "dkim", "dmarc"].map(|name| metadata[format!("{name}_verdict")].clone());
        assert_eq!(verdicts, ["PASS", "FAIL", "GRAY", "PROCESSING_FAILED", "PASS"].map(Value::from));
        assert_eq!(metadata["receipt"]["dmarc_policy"], "none");
    }
    let Identity::Provided(ids) = &utf8.identity else { panic!("{:?}", utf8.identity) };
    assert_eq!(ids[..2], ["m1@a.example", "in@b.example"]);
}

#[test]
fn what_is_called_base64_and_is_none_is_kept_and_noted() {
    let record = only(&received(&json!({ "type": "SNS", "encoding": "BASE64" }), Some(MAIL), &json!({})));
    assert_eq!(record.message.text.as_deref(), Some("Gr\u{fc}\u{df}e"));
    assert_eq!(record.message.truncations[0].reason, "base64");
}

#[test]
fn a_mail_in_s3_is_read_from_its_header() {
    let action = json!({ "type": "S3", "bucketName": "b", "objectKey": "in/k" });
    let headers = json!({ "headersTruncated": true, "headers": [
        { "name": "From", "value": "=?utf-8?q?J=C3=B6?= <jo@A.example>" },
        { "name": "References", "value": "<r1@a.example>\r\n <r2@a.example>" },
        { "name": "In-Reply-To", "value": "<r2@a.example>" },
        { "name": "broken" }, 7,
    ], "commonHeaders": {
        "from": ["not looked at <x@a.example>"], "to": ["In <in@b.example>", "two@b.example"], "cc": ["three@b.example"],
        "subject": "From the common ones", "messageId": "<m1@a.example>", "date": "Sat, 01 Aug 2026 05:30:07 +0000",
    } });
    let record = only(&received(&action, None, &headers));
    let message = &record.message;
    let sender = message.sender.as_ref().unwrap();
    assert_eq!((sender.address.as_deref(), sender.name.as_deref()), (Some("jo@a.example"), Some("J\u{f6}")));
    let recipients: Vec<_> = message.recipients.iter().map(|to| (to.address.as_deref().unwrap(), to.role)).collect();
    let expected = [("in@b.example", Role::To), ("two@b.example", Role::To), ("three@b.example", Role::Cc)];
    assert_eq!(recipients, expected);
    assert_eq!(message.references, ["r1@a.example", "r2@a.example"]);
    assert_eq!(message.reply_to_id.as_deref(), Some("r2@a.example"));
    assert_eq!(message.subject.as_deref(), Some("From the common ones"));
    assert_eq!(message.sent_at.unwrap().to_string(), "2026-08-01T05:30:07.000Z");
    assert_eq!((&message.text, message.attachments.len()), (&None, 0));
    let metadata = metadata(&record);
    assert_eq!(metadata["s3"], json!({ "bucket": "b", "key": "in/k" }));
    assert_eq!(metadata["message_id"], "m1@a.example");
    let notes: Vec<_> = message.truncations.iter().map(|note| (note.field.as_str(), note.reason.as_str())).collect();
    assert_eq!(notes, [("metadata.headers", "length")]);
    // Nothing of the mail is here to tell it from another with the same id, but for what SES calls it.
    assert_eq!(record.identity, Identity::Provided(["ses1", "0", "in@b.example"].map(str::to_owned).to_vec()));
}

#[test]
fn a_mail_without_an_id_is_known_by_the_one_that_ses_gave_it() {
    let without = MAIL.replace("Message-ID: <m1@a.example>\r\n", "");
    let record = only(&received(&json!({ "type": "SNS", "encoding": "UTF8" }), Some(&without), &json!({})));
    assert_eq!(record.identity, Identity::Provided(["ses1", "0", "in@b.example"].map(str::to_owned).to_vec()));
}

fn event(spelling: &str, kind: &str, name: &str, details: &Value) -> Value {
    let mut event = json!({
        "mail": {
            "timestamp": "2026-08-01T06:05:49.000Z", "source": "\"Tickets\" <tickets@B.example>", "messageId": "out1",
            "destination": ["one@C.example", "two@c.example"], "tags": { "campaign": ["a"] },
        },
    });
    event[spelling] = kind.into();
    event[name] = details.clone();
    event
}

#[test]
fn every_event_is_a_status_for_each_recipient_that_it_is_about() {
    let at = "2026-08-01T06:06:44.000Z";
    let cases = [
        (
            "Bounce",
            "bounce",
            json!({ "bounceType": "Permanent", "timestamp": at, "feedbackId": "f", "bouncedRecipients": [
                { "emailAddress": "one@C.example", "action": "failed", "status": "5.1.1", "diagnosticCode": "smtp; 550" },
                { "emailAddress": "two@c.example" },
            ] }),
            "bounce",
            vec![(Some("one@c.example"), Some("5.1.1")), (Some("two@c.example"), None)],
        ),
        (
            "Complaint",
            "complaint",
            json!({ "timestamp": at, "complaintFeedbackType": "abuse",
                "complainedRecipients": [{ "emailAddress": "one@C.example" }] }),
            "complaint",
            vec![(Some("one@c.example"), None)],
        ),
        (
            "Delivery",
            "delivery",
            json!({ "timestamp": at, "recipients": ["two@c.example"], "smtpResponse": "250 ok" }),
            "delivery",
            vec![(Some("two@c.example"), None)],
        ),
        (
            "DeliveryDelay",
            "deliveryDelay",
            json!({ "timestamp": at, "delayType": "MailboxFull",
                "delayedRecipients": [{ "emailAddress": "one@c.example", "status": "4.2.2" }] }),
            "delivery_delay",
            vec![(Some("one@c.example"), Some("4.2.2"))],
        ),
        ("Send", "send", json!({}), "send", vec![(Some("one@c.example"), None), (Some("two@c.example"), None)]),
        (
            "Reject",
            "reject",
            json!({ "reason": "Bad content" }),
            "reject",
            vec![(Some("one@c.example"), None), (Some("two@c.example"), None)],
        ),
        (
            "Rendering Failure",
            "failure",
            json!({ "errorMessage": "no name", "templateName": "t" }),
            "rendering_failure",
            vec![(Some("one@c.example"), None), (Some("two@c.example"), None)],
        ),
        ("Open", "open", json!({ "timestamp": at, "userAgent": "x" }), "open", vec![(None, None)]),
        ("Click", "click", json!({ "timestamp": at, "link": "https://d.example" }), "click", vec![(None, None)]),
        ("Subscription", "subscription", json!({ "timestamp": at, "source": "x" }), "subscription", vec![(None, None)]),
        (
            "Shelved Somehow",
            "shelvedSomehow",
            json!({ "timestamp": at, "why": "new" }),
            "shelved_somehow",
            vec![(Some("one@c.example"), None), (Some("two@c.example"), None)],
        ),
    ];
    for (kind, name, details, status, expected) in cases {
        for spelling in ["notificationType", "eventType"] {
            let records = records(&event(spelling, kind, name, &details));
            let found: Vec<_> = records
                .iter()
                .map(|record| {
                    let status = record.message.status.as_ref().unwrap();
                    (status.recipient.as_deref(), status.error_code.as_deref())
                })
                .collect();
            assert_eq!(found, expected, "{kind}");
            for (place, record) in records.iter().enumerate() {
                let message = &record.message;
                assert_eq!((message.kind, message.part as usize), (Kind::Status, place), "{kind}");
                assert_eq!(message.provider_message_id.as_deref(), Some("out1"));
                let sender = message.sender.as_ref().unwrap();
                assert_eq!(
                    (sender.address.as_deref(), sender.name.as_deref()),
                    (Some("tickets@b.example"), Some("Tickets"))
                );
                let told = message.status.as_ref().unwrap();
                let time = if details["timestamp"].is_null() { "2026-08-01T06:05:49.000Z" } else { at };
                assert_eq!((told.status.as_str(), told.occurred_at.unwrap().to_string()), (status, time.to_owned()));
                assert_eq!((told.occurred_at, &message.subject), (message.sent_at, &None));
                let metadata = metadata(record);
                assert_eq!(metadata["mail"]["tags"], json!({ "campaign": ["a"] }), "{kind}");
                for (name, value) in details.as_object().unwrap() {
                    assert!(value.is_array() || metadata[status][name] == *value, "{kind} {name}: {metadata}");
                }
            }
        }
    }
}

#[test]
fn an_event_is_told_from_another_and_not_from_itself() {
    let identities =
        |message: &Value| -> Vec<Identity> { records(message).into_iter().map(|record| record.identity).collect() };
    let bounce = |feedback: &str| {
        let details = json!({ "feedbackId": feedback, "timestamp": "2026-08-01T06:06:44.000Z", "bouncedRecipients": [
            { "emailAddress": "one@c.example" }, { "emailAddress": "two@c.example" },
        ] });
        event("notificationType", "Bounce", "bounce", &details)
    };
    let first = identities(&bounce("f1"));
    assert_ne!(first[0], first[1]);
    assert_eq!(first, identities(&bounce("f1")));
    assert_ne!(first, identities(&bounce("f2")), "another bounce of the same mail");
    let open = |at: &str| event("eventType", "Open", "open", &json!({ "timestamp": at }));
    assert_eq!(identities(&open("2026-08-01T07:00:00.000Z")), identities(&open("2026-08-01T07:00:00.000Z")));
    assert_ne!(identities(&open("2026-08-01T07:00:00.000Z")), identities(&open("2026-08-01T08:00:00.000Z")));
}

#[test]
fn what_is_no_mail_is_kept_and_ignored_and_tells_no_token() {
    let trial = json!({ "notificationType": "AmazonSnsSubscriptionSucceeded", "message": "You have subscribed" });
    for (message, fields) in [
        (json!("Successfully validated SNS topic for Amazon SES event publishing."), None),
        (trial.clone(), Some(trial)),
        (json!({ "mail": "none" }), Some(json!({ "mail": "none" }))),
        (json!("[1]"), Some(json!([1]))),
    ] {
        let record = only(&message);
        assert_eq!(record.message.kind, Kind::AccountEvent);
        assert_eq!(record.message.status.as_ref().unwrap().status, "ignored");
        assert_eq!(record.identity, Identity::Provided(vec!["n1".to_owned()]));
        let metadata = metadata(&record);
        assert_eq!(metadata["fields"], fields.unwrap_or_else(|| json!({ "Message": message })));
        assert_eq!(metadata["sns"]["topic"], "arn:aws:sns:eu-west-1:1:t");
    }
    let mut subscription: Value = serde_json::from_str(&enveloped(&json!("{}"))).unwrap();
    subscription["Type"] = "SubscriptionConfirmation".into();
    subscription["Token"] = "t0ken".into();
    subscription["SubscribeURL"] = "https://sns.eu-west-1.amazonaws.com/?Token=t0ken".into();
    let record = read(subscription.to_string()).elements.remove(0).unwrap();
    assert_eq!(metadata(&record)["sns"]["type"], "SubscriptionConfirmation");
    assert!(!record.message.metadata.get().contains("t0ken"));
}

#[test]
fn hostile_messages_end_within_bounds() {
    let many: Vec<Value> = (0..9_000).map(|number| json!({ "emailAddress": format!("{number}@c.example") })).collect();
    let details = json!({ "why": "x".repeat(300_000), "bouncedRecipients": many });
    let records = records(&event("notificationType", "Bounce", "bounce", &details));
    assert_eq!(records.len(), 9_000);
    let bytes: usize = records.iter().map(|record| record.message.metadata.get().len()).sum();
    assert!(bytes < 40 * 1024 * 1024, "{bytes}");
    assert_eq!(records[8_999].message.truncations[0].reason, "repeated");
    let too_many: Vec<Value> = (0..10_001).map(|number| json!(number)).collect();
    let details = json!({ "recipients": too_many });
    let normalized = read(event("eventType", "Delivery", "delivery", &details).to_string());
    assert_eq!(normalized.elements[0].as_ref().unwrap_err().reason, BadReason::TooMany);
    assert_eq!(read(&b"\xff\xfe"[..]).elements[0].as_ref().unwrap_err().reason, BadReason::NotUtf8);
    for message in [
        json!({ "mail": {} }),
        json!({ "mail": {}, "notificationType": "Bounce" }),
        json!({ "mail": {}, "eventType": "" }),
        json!({ "mail": { "headers": {}, "commonHeaders": [] }, "receipt": [], "content": 7 }),
        json!({ "mail": { "destination": "one@c.example" }, "eventType": "Send", "send": 1 }),
        json!({ "mail": { "source": "\u{0}" }, "eventType": "\u{1f600}", "receipt": { "action": [] } }),
    ] {
        assert_eq!(records_of(&message), 1, "{message}");
    }
}

fn records_of(message: &Value) -> usize {
    read(enveloped(message)).elements.len()
}
