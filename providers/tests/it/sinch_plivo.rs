//! Text messages: the variants that no sample has.

use crate::support::Owned;
use proto::{CanonicalMessage, Channel, Kind, Verified};
use providers::{BadReason, Identity, Record, SourceSettings, find};
use serde_json::{Value, json};

fn records(provider: &str, request: &Owned) -> Vec<Record> {
    let adapter = find(Channel::Sms, provider).unwrap();
    let normalized = adapter.normalize(&request.as_raw(adapter, Verified::Yes), &SourceSettings::default());
    assert_eq!(normalized.parts as usize, normalized.elements.len());
    normalized.elements.into_iter().map(|element| *element.unwrap()).collect()
}

fn sinch(body: &Value) -> Vec<Record> {
    records("sinch", &Owned::post("application/json", body.to_string()))
}

fn metadata(message: &CanonicalMessage) -> Value {
    serde_json::from_str(message.metadata.get()).unwrap()
}

fn provided(id: &[&str]) -> Identity {
    Identity::Provided(id.iter().map(|part| (*part).to_owned()).collect())
}

#[test]
fn a_sinch_text_is_read() {
    let [record] = sinch(&json!({
        "type": "mo_text", "id": "M1", "from": "14155557225", "to": "54321", "body": "Hi 😅", "operator_id": "35000",
        "received_at": "2026-08-01T06:06:44.001Z", "sent_at": "2026-08-01T06:06:43Z", "client_reference": "c",
    }))
    .try_into()
    .unwrap();
    let message = &record.message;
    assert_eq!(record.identity, provided(&["M1"]));
    assert_eq!((message.kind, message.text.as_deref()), (Kind::Message, Some("Hi 😅")));
    assert_eq!(message.sender.as_ref().unwrap().address.as_deref(), Some("+14155557225"));
    assert_eq!(message.recipients[0].address.as_deref(), Some("54321"));
    assert_eq!(message.sent_at.unwrap().to_string(), "2026-08-01T06:06:43.000Z");
    let metadata = metadata(message);
    assert_eq!((&metadata["operator_id"], &metadata["from_raw"]), (&json!("35000"), &json!("14155557225")));
    assert_eq!(metadata["type"], "mo_text");
}

#[test]
fn a_sinch_binary_is_an_attachment_and_its_header_tells_the_part() {
    let binary = |udh: &str, body: &str| {
        let [record] =
            sinch(&json!({ "type": "mo_binary", "id": "M2", "from": "+14155557225", "to": "54321", "udh": udh,
            "body": body, "received_at": "2026-08-01T06:06:44Z" }))
            .try_into()
            .unwrap();
        record.message
    };
    let message = binary("050003860201", "AAEC");
    assert_eq!((message.kind, message.text.as_deref()), (Kind::Message, None));
    assert_eq!(message.attachments[0].size, Some(3));
    assert_eq!(message.attachments[0].blake3.as_deref(), Some(blake3::hash(&[0, 1, 2]).to_hex().as_str()));
    assert_eq!(message.sent_at.unwrap().to_string(), "2026-08-01T06:06:44.000Z");
    let of_part = metadata(&message);
    assert_eq!((&of_part["udh"], &of_part["concat_ref"]), (&json!("050003860201"), &json!(0x86)));
    assert_eq!((&of_part["concat_total"], &of_part["concat_part"]), (&json!(2), &json!(1)));
    assert_eq!(binary("", "AAEC").kind, Kind::Message);
    let message = binary("", "no base64!");
    assert!(message.attachments.is_empty());
    assert_eq!(metadata(&message)["body"], "no base64!");
}

#[test]
fn a_sinch_multimedia_message_has_its_media() {
    let media = json!([
        { "url": "https://media.example/1.jpg", "content_type": "image/jpeg", "status": "Uploaded", "code": 0 },
        { "content_type": "video/mp4", "status": "Failed", "code": 3 },
    ]);
    let [record] = sinch(&json!({ "type": "mo_media", "id": "M3", "from": "14155557225", "to": "14155557226",
        "body": { "subject": "Pics", "message": "look", "media": media } }))
    .try_into()
    .unwrap();
    let message = &record.message;
    assert_eq!((message.subject.as_deref(), message.text.as_deref()), (Some("Pics"), Some("look")));
    let files: Vec<_> = message.attachments.iter().map(|file| file.location.as_deref()).collect();
    assert_eq!(files, [Some("https://media.example/1.jpg"), None]);
    assert_eq!(message.attachments[1].content_type.as_deref(), Some("video/mp4"));
    assert_eq!(metadata(message)["media"], media);
}

#[test]
fn a_sinch_report_is_a_status_for_each_recipient() {
    let [record] =
        sinch(&json!({ "type": "recipient_delivery_report_mms", "batch_id": "B1", "recipient": "14155557225",
        "status": "Failed", "code": 405, "at": "2026-08-01T06:06:44Z", "applied_originator": "ACME",
        "operator": "35000" }))
        .try_into()
        .unwrap();
    assert_eq!(record.identity, provided(&["B1", "Failed", "14155557225"]));
    let status = record.message.status.as_ref().unwrap();
    assert_eq!((status.status.as_str(), status.error_code.as_deref()), ("Failed", Some("405")));
    assert_eq!(status.recipient.as_deref(), Some("+14155557225"));
    assert_eq!(status.occurred_at.unwrap().to_string(), "2026-08-01T06:06:44.000Z");
    assert_eq!(record.message.provider_message_id.as_deref(), Some("B1"));
    assert_eq!(record.message.sender.as_ref().unwrap().address.as_deref(), Some("ACME"));
    assert_eq!(metadata(&record.message)["operator"], "35000");

    let full = sinch(&json!({ "type": "delivery_report_sms", "batch_id": "B1", "total_message_count": 3, "statuses": [
        { "code": 0, "status": "Delivered", "count": 2, "recipients": ["14155557225", "14155557226"] },
        { "code": 401, "status": "Dispatched", "count": 1 },
    ] }));
    let identities: Vec<_> = full.iter().map(|record| record.identity.clone()).collect();
    let expected = [
        provided(&["B1", "Delivered", "14155557225"]),
        provided(&["B1", "Delivered", "14155557226"]),
        provided(&["B1", "Dispatched", "", "401", "1"]),
    ];
    assert_eq!(identities, expected);
    assert!(full.iter().all(|record| record.message.kind == Kind::Status));
    assert_eq!(metadata(&full[2].message)["total_message_count"], 3);
}

#[test]
fn a_bad_state_in_a_sinch_report_spoils_no_other() {
    let adapter = find(Channel::Sms, "sinch").unwrap();
    let body = json!({ "type": "delivery_report_sms", "batch_id": "B1", "statuses": [
        7, { "code": 0, "status": "Delivered", "recipients": ["14155557225"] } ] });
    let raw = Owned::post("application/json", body.to_string()).as_raw(adapter, Verified::Yes);
    let normalized = adapter.normalize(&raw, &SourceSettings::default());
    let [Err(bad), Ok(record)] = normalized.elements.as_slice() else { panic!("{normalized:?}") };
    assert_eq!((bad.part, bad.reason), (0, BadReason::NotAnObject));
    assert_eq!((record.message.part, record.message.parts), (1, 2));
}

#[test]
fn a_sinch_report_does_not_grow_by_what_its_records_repeat() {
    let adapter = find(Channel::Sms, "sinch").unwrap();
    let report = |recipients: usize, note: usize| {
        let recipients: Vec<_> = (0..recipients).map(|number| format!("{}", 14_155_550_000 + number)).collect();
        let body = json!({ "type": "delivery_report_sms", "batch_id": "B1", "note": "x".repeat(note),
            "statuses": [{ "status": "Delivered", "recipients": recipients }] });
        let raw = Owned::post("application/json", body.to_string()).as_raw(adapter, Verified::No);
        let normalized = adapter.normalize(&raw, &SourceSettings::default());
        normalized.elements.into_iter().next().unwrap().map(|_| ()).map_err(|bad| bad.reason)
    };
    assert_eq!(report(10_000, 100), Ok(()));
    assert_eq!(report(10_001, 100), Err(BadReason::TooMany));
    assert_eq!(report(1_000, 100_000), Err(BadReason::TooMany));
}

#[test]
fn what_sinch_may_add_is_ignored_and_kept() {
    for body in [json!({ "type": "new", "x": 1 }), json!({ "type": "delivery_report_sms", "statuses": {}, "x": 1 })] {
        let [record] = sinch(&body).try_into().unwrap();
        assert_eq!(record.message.kind, Kind::AccountEvent);
        assert_eq!(record.message.status.as_ref().unwrap().status, "ignored");
        assert_eq!(metadata(&record.message)["fields"]["x"], 1);
    }
}

fn plivo(body: &str) -> Record {
    let request = Owned::post("application/x-www-form-urlencoded", body.to_owned());
    let [record] = records("plivo", &request).try_into().unwrap();
    record
}

#[test]
fn plivo_media_come_in_the_order_of_their_numbers_and_the_text_is_where_it_is() {
    let media: Vec<String> =
        (0..12).map(|number| format!("Media{number}=https%3A%2F%2Fm.example%2F{number}")).collect();
    let body =
        format!("MessageUUID=M1&Type=whatsapp&Text=&Body=look&MediaCount=12&ContentType=image&{}", media.join("&"));
    let record = plivo(&body);
    let locations: Vec<_> = record.message.attachments.iter().map(|file| file.location.clone().unwrap()).collect();
    assert_eq!(locations, (0..12).map(|number| format!("https://m.example/{number}")).collect::<Vec<_>>());
    assert_eq!(record.message.text.as_deref(), Some("look"));
    let metadata = metadata(&record.message);
    assert_eq!((&metadata["media_count"], &metadata["content_type"]), (&json!(12), &json!("image")));
    assert_eq!((&metadata["type"], &metadata["media0"]), (&json!("whatsapp"), &Value::Null));
    assert_eq!(plivo("MessageUUID=M1&Text=").message.text.as_deref(), Some(""));
    assert_eq!(plivo("MessageUUID=M1&Text=a&Body=b").message.text.as_deref(), Some("a"));
    assert_eq!(plivo("MessageUUID=M1&Media1=x").message.text, None);
}

#[test]
fn a_plivo_report_is_told_by_id_state_and_recipient() {
    let report =
        "MessageUUID=M1&ParentMessageUUID=M0&Status=delivered&To=14155557225&From=54321&ErrorCode=&PartInfo=1+of+2";
    let record = plivo(report);
    assert_eq!(record.identity, provided(&["M1", "delivered", "14155557225"]));
    let status = record.message.status.as_ref().unwrap();
    assert_eq!((status.status.as_str(), status.error_code.as_deref()), ("delivered", None));
    assert_eq!(status.recipient.as_deref(), Some("+14155557225"));
    assert_eq!(record.message.sender.as_ref().unwrap().address.as_deref(), Some("54321"));
    let metadata = metadata(&record.message);
    assert_eq!((&metadata["parent_message_uuid"], &metadata["part_info"]), (&json!("M0"), &json!("1 of 2")));
}

#[test]
fn plivo_parameters_may_be_in_the_query_and_without_an_id_a_text_is_kept() {
    let mut request = Owned::post("application/x-www-form-urlencoded", "Text=unsigned");
    request.method = http::Method::GET;
    request.url = "https://in.example.com/v1/sms/test?MessageUUID=M1&Text=Hi&MessageIntent=optout".to_owned();
    let [record] = records("plivo", &request).try_into().unwrap();
    assert_eq!((record.identity, record.message.text.as_deref()), (provided(&["M1"]), Some("Hi")));
    assert_eq!(metadata(&record.message)["message_intent"], "optout");

    let record = plivo("Text=Hi&From=14155557225");
    assert_eq!((record.identity, record.message.kind), (Identity::None, Kind::Message));
    let record = plivo("x=1");
    assert_eq!(record.message.status.unwrap().status, "ignored");
}
