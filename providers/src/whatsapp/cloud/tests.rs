//! The variants of which there is no sample.

use bytes::Bytes;
use proto::subject::SourceName;
use proto::{CanonicalMessage, Channel, Kind, Millis, RawEnvelope, Verified};
use serde_json::json;

use super::*;
use crate::record::{Identity, Record};

fn normalized(request: &Value) -> Normalized {
    let raw = RawRequest {
        envelope: RawEnvelope {
            id: uuid::Uuid::from_u128(7),
            received_at: Millis::from_unix(1_785_564_409_000).unwrap(),
            method: "POST".to_owned(),
            query: None,
            provider: "meta".to_owned(),
            verified: Verified::Yes,
            headers: Vec::new(),
            body: None,
            replay: None,
            traceparent: None,
        },
        channel: Channel::WhatsApp,
        source: SourceName::parse("test").unwrap(),
        body: Bytes::from(request.to_string()),
        raw_sequence: 1,
    };
    super::normalize(&raw, &SourceSettings::default())
}

fn request(field: &str, value: &Value) -> Value {
    json!({ "object": OBJECT, "entry": [{ "id": "W1", "changes": [{ "field": field, "value": value }] }] })
}

fn records(request: &Value) -> Vec<Record> {
    normalized(request).elements.into_iter().map(|element| *element.unwrap()).collect()
}

fn one(request: &Value) -> Record {
    let mut records = records(request);
    assert_eq!(records.len(), 1);
    records.remove(0)
}

fn message(message: &Value) -> Record {
    let metadata = json!({ "display_phone_number": "+1 555-010-4477", "phone_number_id": "P1" });
    one(&request("messages", &json!({ "metadata": metadata, "messages": [message] })))
}

fn status(status: &Value) -> Record {
    let metadata = json!({ "display_phone_number": "15550104477", "phone_number_id": "P1" });
    one(&request("messages", &json!({ "metadata": metadata, "statuses": [status] })))
}

fn metadata(message: &CanonicalMessage) -> Value {
    serde_json::from_str(message.metadata.get()).unwrap()
}

fn ids(record: &Record) -> Vec<&str> {
    let Identity::Provided(ids) = &record.identity else { return Vec::new() };
    ids.iter().map(String::as_str).collect()
}

#[test]
fn a_number_is_found_however_it_is_displayed_and_routed_by_its_id() {
    let record = message(&json!({ "from": "4915112345678", "id": "w", "type": "text", "text": { "body": "" } }));
    assert_eq!(record.message.recipients[0].address.as_deref(), Some("+15550104477"));
    assert_eq!(record.message.sender.as_ref().unwrap().address.as_deref(), Some("+4915112345678"));
    assert_eq!(record.message.text.as_deref(), Some(""));
    let metadata = metadata(&record.message);
    assert_eq!((&metadata["phone_number_id"], &metadata["waba_id"]), (&json!("P1"), &json!("W1")));
    assert_eq!(metadata["to_raw"], "+1 555-010-4477");
}

#[test]
fn files_are_kept_as_references_with_a_name_that_is_no_path() {
    let document = json!({ "id": "M1", "mime_type": "application/pdf", "sha256": "c2hh", "filename": "a/../b.pdf" });
    let record = message(&json!({ "from": "4915112345678", "id": "w", "type": "document", "document": document }));
    let file = &record.message.attachments[0];
    assert_eq!((file.filename.as_deref(), file.location.as_deref()), (Some("b.pdf"), Some("M1")));
    assert_eq!(record.content.attachments, ["c2hh"]);
    assert_eq!(metadata(&record.message)["document"]["sha256"], "c2hh");
}

#[test]
fn orders_locations_and_forms_keep_all_that_they_say() {
    let order = json!({ "catalog_id": "C", "text": "two please", "product_items": [{ "quantity": 2 }] });
    let record = message(&json!({ "from": "4915112345678", "id": "w", "type": "order", "order": order }));
    assert_eq!(record.message.text.as_deref(), Some("two please"));
    assert_eq!(metadata(&record.message)["order"]["product_items"][0]["quantity"], 2);

    let reply = json!({ "type": "nfm_reply", "nfm_reply": { "name": "flow", "response_json": "{\"rating\":\"4\"}" } });
    let record = message(&json!({ "from": "4915112345678", "id": "w", "type": "interactive", "interactive": reply }));
    assert_eq!(metadata(&record.message)["response"], json!({ "rating": "4" }));
    assert_eq!(record.message.text, None);

    let place = json!({ "latitude": 1.5, "longitude": 2, "url": "https://e.example" });
    let record = message(&json!({ "from": "4915112345678", "id": "w", "type": "location", "location": place }));
    assert_eq!((record.message.kind, &metadata(&record.message)["location"]), (Kind::Message, &place));
}

#[test]
fn a_context_tells_what_is_answered_and_what_is_passed_on() {
    let context = json!({ "id": "w0", "frequently_forwarded": true, "referred_product": { "catalog_id": "C" } });
    let text = json!({ "body": "this one?" });
    let record = message(&json!({ "from": "49151123", "id": "w", "type": "text", "text": text, "context": context }));
    assert_eq!(record.message.reply_to_id.as_deref(), Some("w0"));
    let metadata = metadata(&record.message);
    assert_eq!(metadata["frequently_forwarded"], true);
    assert_eq!(metadata["context"]["referred_product"]["catalog_id"], "C");
}

#[test]
fn a_reaction_is_removed_by_an_empty_emoji_too() {
    let reaction = json!({ "message_id": "w0", "emoji": "" });
    let record = message(&json!({ "from": "49151123", "id": "w", "type": "reaction", "reaction": reaction }));
    assert_eq!((record.message.kind, &record.message.text), (Kind::Reaction, &None));
    assert_eq!(metadata(&record.message)["removed"], true);
}

#[test]
fn an_act_without_an_id_is_known_by_what_it_does_to_which_message() {
    let react = |target: &str, emoji: &str, at: &str| {
        let reaction = json!({ "message_id": target, "emoji": emoji });
        let record = message(&json!({ "from": "49151123", "timestamp": at, "type": "reaction", "reaction": reaction }));
        ids(&record).join(" ")
    };
    assert_eq!(react("w0", "a", "1785564000"), react("w0", "a", "1785564000"));
    for other in [react("w1", "a", "1785564000"), react("w0", "b", "1785564000"), react("w0", "a", "1785564001")] {
        assert_ne!(react("w0", "a", "1785564000"), other);
    }
    let text = message(&json!({ "from": "49151123", "type": "text", "text": { "body": "x" } }));
    assert_eq!(text.identity, Identity::None);
}

#[test]
fn equal_reactions_to_two_messages_are_not_equal_content() {
    let content = |target: &str| {
        let reaction = json!({ "message_id": target, "emoji": "a" });
        message(&json!({ "from": "49151123", "type": "reaction", "reaction": reaction })).content.fields
    };
    assert_ne!(content("w0"), content("w1"));
}

#[test]
fn a_person_without_a_number_is_known_by_the_user_id_and_found_among_the_contacts() {
    let contacts = json!([
        { "wa_id": "4915112345678", "profile": { "name": "Other" }, "user_id": "DE.1" },
        { "profile": { "name": "Ada", "username": "ada" }, "user_id": "US.2", "parent_user_id": "US.ENT.3" },
    ]);
    let text = json!({ "body": "hi" });
    for who in [json!({ "from_user_id": "US.2" }), json!({ "from": "", "from_user_id": "US.2" })] {
        let mut element = json!({ "id": "w", "type": "text", "text": text });
        element.as_object_mut().unwrap().extend(who.as_object().unwrap().clone());
        let record = one(&request("messages", &json!({ "contacts": contacts, "messages": [element] })));
        let sender = record.message.sender.as_ref().unwrap();
        assert_eq!((sender.address.as_deref(), sender.name.as_deref()), (Some("bsuid:US.2"), Some("Ada")));
        let metadata = metadata(&record.message);
        assert_eq!((&metadata["username"], &metadata["parent_user_id"]), (&json!("ada"), &json!("US.ENT.3")));
    }
    let by_from = message(&json!({ "from": "US.2", "id": "w", "type": "text", "text": text }));
    assert_eq!(by_from.message.sender.unwrap().address.as_deref(), Some("bsuid:US.2"));
    let nobody = message(&json!({ "id": "w", "type": "text", "text": text }));
    assert!(nobody.message.sender.is_none() && nobody.message.text.is_some());
    let status = status(&json!({ "id": "w", "status": "read", "recipient_user_id": "US.2" }));
    assert_eq!(status.message.status.unwrap().recipient.as_deref(), Some("bsuid:US.2"));
}

#[test]
fn a_type_that_is_newer_than_this_is_kept_whole() {
    for element in [
        json!({ "from": "49151123", "id": "w", "type": "poll", "poll": { "question": "?" } }),
        json!({ "from": "49151123", "id": "w", "type": "hologram" }),
        json!({ "from": "49151123", "id": "w", "type": "text", "text": 5 }),
        json!({ "from": "49151123", "id": "w" }),
    ] {
        let record = message(&element);
        assert_eq!((record.message.kind, ids(&record)), (Kind::Unsupported, vec!["w"]));
        if let Some(poll) = element.get("poll") {
            assert_eq!(&metadata(&record.message)["poll"], poll);
        }
    }
    let errors = json!([{ "code": 131_060, "title": "unavailable" }]);
    let record = message(&json!({ "from": "49151123", "id": "w", "type": "unsupported", "errors": errors }));
    assert_eq!(metadata(&record.message)["error_code"], "131060");
}

#[test]
fn a_status_is_told_by_message_state_recipient_and_member() {
    let base = json!({ "id": "w", "status": "played", "timestamp": 1_785_564_000, "recipient_id": "4915112345678" });
    let record = status(&base);
    let fields = record.message.status.as_ref().unwrap();
    assert_eq!(fields.status, "played");
    assert_eq!(fields.occurred_at.unwrap().as_unix(), 1_785_564_000_000);
    assert_eq!(ids(&record), ["w", "played", "4915112345678"]);

    let member = |member: &str| {
        let mut group = base.clone();
        group["recipient_type"] = json!("group");
        group["recipient_id"] = json!("Y2FwaV9ncm91cDox");
        group["recipient_participant_id"] = json!(member);
        status(&group)
    };
    let (one, other) = (member("4915112345678"), member("4915112345679"));
    assert_ne!(one.identity, other.identity);
    assert_eq!(one.message.conversation.as_deref(), Some("Y2FwaV9ncm91cDox"));
}

#[test]
fn an_error_of_the_account_is_a_record() {
    let value = json!({ "metadata": { "display_phone_number": "15550104477" }, "errors": [{ "code": 131_000 }] });
    let record = one(&request("messages", &value));
    assert_eq!(record.message.kind, Kind::Error);
    assert_eq!(record.message.status.unwrap().error_code.as_deref(), Some("131000"));
    assert_eq!(record.message.recipients[0].address.as_deref(), Some("+15550104477"));
}

#[test]
fn other_fields_are_events_of_the_account() {
    let mut call = request("calls", &json!({ "calls": [{ "id": "c" }] }));
    call["entry"][0]["time"] = json!(1_785_564_000);
    let record = one(&call);
    assert_eq!(record.message.kind, Kind::AccountEvent);
    let status = record.message.status.as_ref().unwrap();
    assert_eq!((status.status.as_str(), status.occurred_at.is_some()), ("calls", true));
    assert_eq!(metadata(&record.message)["value"]["calls"][0]["id"], "c");

    let record = one(&request("account_update", &json!({ "event": "VERIFIED_ACCOUNT" })));
    assert_eq!(record.message.status.unwrap().status, "VERIFIED_ACCOUNT");
}

#[test]
fn what_holds_nothing_is_one_ignored_event() {
    for request in [
        json!({}),
        json!({ "object": "page" }),
        json!({ "object": OBJECT, "entry": {} }),
        json!({ "object": OBJECT, "entry": [{ "id": "W1" }] }),
        request("messages", &json!({ "metadata": {} })),
    ] {
        let record = one(&request);
        assert_eq!(record.message.kind, Kind::AccountEvent, "{request}");
        assert_eq!(record.message.status.unwrap().status, "ignored", "{request}");
    }
}

#[test]
fn one_bad_element_does_not_touch_its_neighbours() {
    let good = |id: &str| json!({ "from": "49151123", "id": id, "type": "text", "text": { "body": "x" } });
    let value = json!({ "messages": [good("a"), 5, good("b")], "statuses": [null, { "id": "c", "status": "sent" }] });
    let batch =
        json!({ "object": OBJECT, "entry": ["x", { "changes": [[], { "field": "messages", "value": value }] }] });
    let normalized = normalized(&batch);
    assert_eq!(normalized.parts, 7);
    let read = |element: &Element| match element {
        Ok(record) => record.message.provider_message_id.clone().unwrap(),
        Err(bad) => format!("{} {}", bad.part, bad.reason.as_str()),
    };
    let expected = ["0 not_an_object", "1 not_an_object", "a", "3 not_an_object", "b", "5 not_an_object", "c"];
    assert_eq!(normalized.elements.iter().map(read).collect::<Vec<_>>(), expected);
}

#[test]
fn what_is_no_object_or_too_much_is_one_bad_element() {
    let reason = |request: &Value| normalized(request).elements.remove(0).unwrap_err().reason;
    assert_eq!(reason(&json!([])), BadReason::NotAnObject);
    let many = json!({ "object": OBJECT, "entry": vec![json!(1); ELEMENTS + 1] });
    assert_eq!(reason(&many), BadReason::TooMany);
}

#[test]
fn an_echo_of_any_kind_stays_an_echo() {
    let revoke = json!({ "original_message_id": "w0" });
    let echo = json!({ "from": "15550104477", "to": "49151123", "id": "w", "type": "revoke", "revoke": revoke });
    let record = one(&request("smb_message_echoes", &json!({ "message_echoes": [echo] })));
    assert_eq!((record.message.kind, record.message.reply_to_id.as_deref()), (Kind::Echo, Some("w0")));
}
