//! WhatsApp by Meta's bodies: what no sample shows, and what must not be lost of it.

use std::time::{Duration, Instant};

use crate::support::Owned;
use proto::{Channel, HashKey, Kind, Policy, Verified};
use providers::{BadReason, Identity, Normalized, Record, SourceSettings, Windows, dedup, find};
use serde_json::{Value, json};

const OBJECT: &str = "whatsapp_business_account";

fn normalize(body: &Value) -> Normalized {
    let adapter = find(Channel::WhatsApp, "meta").unwrap();
    let raw = Owned::post("application/json", body.to_string()).as_raw(adapter, Verified::Yes);
    adapter.normalize(&raw, &SourceSettings::default())
}

fn records(body: &Value) -> Vec<Record> {
    normalize(body).elements.into_iter().map(|element| *element.unwrap()).collect()
}

fn metadata(record: &Record) -> Value {
    serde_json::from_str(record.message.metadata.get()).unwrap()
}

fn key(record: &Record) -> proto::DedupKey {
    dedup::key(record, Policy::Auto, Windows { id_ms: 8, content_ms: 1 }, &HashKey::derive(b"secret")).0
}

fn change(field: &str, value: &Value) -> Value {
    json!({ "object": OBJECT, "entry": [{ "id": "W1", "changes": [{ "field": field, "value": value }] }] })
}

/// The only record of a change.
fn one(field: &str, value: &Value) -> Record {
    let mut records = records(&change(field, value));
    assert_eq!(records.len(), 1);
    records.remove(0)
}

fn text(id: &str) -> Value {
    json!({ "from": "49151123456", "id": id, "type": "text", "text": { "body": "x" } })
}

#[test]
fn what_is_not_as_it_should_be_is_kept_as_it_came() {
    let element = json!({ "from": 49_151_123_456_u64, "id": 7, "timestamp": "soon", "type": "text",
        "text": { "body": "x" } });
    let metadata = metadata(&one("messages", &json!({ "messages": [element] })));
    assert_eq!(
        (&metadata["from"], &metadata["id"], &metadata["timestamp"]),
        (&49_151_123_456_u64.into(), &7.into(), &"soon".into())
    );
}

#[test]
fn all_that_is_said_about_a_person_and_beside_a_message_is_kept() {
    let contact = json!({ "wa_id": "49151123456", "user_id": "DE.1", "identity_key_hash": "h",
        "profile": { "name": "Ada", "username": "ada", "country_code": "DE" } });
    let value = json!({ "metadata": { "phone_number_id": "P1", "display_phone_number": "15550104477", "pin": 4 },
        "messaging_product": "whatsapp", "new_thing": { "a": 1 }, "contacts": [contact], "messages": [text("w")] });
    let record = one("messages", &value);
    assert_eq!(record.message.sender.as_ref().unwrap().name.as_deref(), Some("Ada"));
    let metadata = metadata(&record);
    assert_eq!((&metadata["user_id"], &metadata["username"]), (&"DE.1".into(), &"ada".into()));
    assert_eq!(metadata["contact"], json!({ "identity_key_hash": "h", "profile": { "country_code": "DE" } }));
    assert_eq!(metadata["value"], json!({ "new_thing": { "a": 1 }, "metadata": { "pin": 4 } }));

    let status = json!({ "id": "w", "status": "sent", "recipient_id": "49151123456" });
    let record = one("messages", &json!({ "contacts": [contact], "statuses": [status] }));
    assert_eq!(self::metadata(&record)["user_id"], "DE.1");
    assert_eq!(self::metadata(&record)["contact"]["profile"]["name"], "Ada");
}

#[test]
fn a_person_whose_number_only_the_contact_has_is_known_by_it() {
    let message = json!({ "from_user_id": "DE.1", "id": "w", "type": "text", "text": { "body": "x" } });
    let contacts = json!([{ "wa_id": "49151123456", "user_id": "DE.1", "profile": { "name": "Ada" } }]);
    let record = one("messages", &json!({ "contacts": contacts, "messages": [message] }));
    assert_eq!(record.message.sender.unwrap().address.as_deref(), Some("+49151123456"));
}

#[test]
fn a_list_that_is_none_is_a_bad_element_and_its_neighbours_are_read() {
    let normalized = normalize(&change("messages", &json!({ "messages": [text("a")], "statuses": { "id": "b" } })));
    assert_eq!(normalized.parts, 2);
    assert!(normalized.elements[0].is_ok());
    let bad = normalized.elements[1].as_ref().unwrap_err();
    assert_eq!((bad.part, bad.reason), (1, BadReason::NotAnObject));
    let nulls = json!({ "messages": [text("a")], "statuses": null });
    assert_eq!(normalize(&change("messages", &nulls)).parts, 1);
}

#[test]
fn a_change_that_does_not_say_what_it_is_is_still_read() {
    let body = json!({ "object": OBJECT, "entry": [{ "changes": [{ "value": { "messages": [text("a")] } }] }] });
    assert_eq!(records(&body)[0].message.kind, Kind::Message);
}

#[test]
fn what_is_ignored_is_kept_whole() {
    for body in [
        json!({ "object": "page", "entry": [{ "id": "1", "messaging": [{ "x": 1 }] }] }),
        json!({ "object": OBJECT, "entry": { "id": "W1" } }),
    ] {
        assert_eq!(metadata(&records(&body)[0])["value"], body);
    }
    let entry = json!({ "id": "W1", "time": 5, "standby": [{ "x": 1 }] });
    let body = json!({ "object": OBJECT, "entry": [entry] });
    assert_eq!(metadata(&records(&body)[0])["value"], entry);
    let change = json!({ "field": "new", "value": 5, "more": { "x": 1 } });
    let body =
        json!({ "object": OBJECT, "entry": [{ "id": "W1", "time": 1_785_564_000, "uid": "u", "changes": [change] }] });
    let metadata = metadata(&records(&body)[0]);
    assert_eq!(
        (&metadata["value"], &metadata["more"]["x"], &metadata["entry"]["uid"]),
        (&5.into(), &1.into(), &"u".into())
    );
}

#[test]
fn an_answer_takes_the_place_of_nothing_that_is_said_about_it() {
    let interactive = json!({ "type": "list_reply", "list_reply": { "id": "1", "title": "A" }, "flow_id": "F" });
    let message = json!({ "from": "49151123456", "id": "w", "type": "interactive", "interactive": interactive });
    let metadata = metadata(&one("messages", &json!({ "messages": [message] })));
    assert_eq!((&metadata["interactive"], &metadata["interactive_flow_id"]), (&"list_reply".into(), &"F".into()));
    let interactive = json!({ "type": "phone_number_id", "phone_number_id": { "title": "A" } });
    let message = json!({ "from": "49151123456", "id": "w", "type": "interactive", "interactive": interactive });
    let value = json!({ "metadata": { "phone_number_id": "P1" }, "messages": [message] });
    assert_eq!(self::metadata(&one("messages", &value))["phone_number_id"], "P1", "what we route by");
}

#[test]
fn a_number_is_new_only_where_it_changed() {
    let system = |kind: &str| {
        json!({ "from": "49151123456", "id": "w", "type": "system",
        "system": { "type": kind, "wa_id": "49151123457", "body": "b" } })
    };
    let new = |kind: &str| metadata(&one("messages", &json!({ "messages": [system(kind)] })))["new_wa_id"].clone();
    assert_eq!(new("user_changed_number"), "49151123457");
    assert_eq!(new("customer_identity_changed"), Value::Null);
}

#[test]
fn an_event_of_the_account_is_known_by_account_time_and_all_it_says() {
    let event = |account: &str, time: &Value, event: &str| {
        let change = json!({ "field": "account_update", "value": { "event": event } });
        let mut body = json!({ "object": OBJECT, "entry": [{ "id": account, "changes": [change] }] });
        if !time.is_null() {
            body["entry"][0]["time"] = time.clone();
        }
        records(&body).remove(0)
    };
    let first = event("W1", &1_785_564_000.into(), "E");
    assert!(matches!(first.identity, Identity::Provided(_)));
    assert_eq!(key(&first), key(&event("W1", &1_785_564_000.into(), "E")));
    for other in [
        event("W2", &1_785_564_000.into(), "E"),
        event("W1", &1_785_564_001.into(), "E"),
        event("W1", &1_785_564_000.into(), "F"),
    ] {
        assert_ne!(key(&first), key(&other));
    }
    for time in [Value::Null, "soon".into()] {
        assert_eq!(event("W1", &time, "E").identity, Identity::None, "without a time nothing tells a repeat");
    }
}

#[test]
fn equal_errors_of_two_times_are_two() {
    let error = |time: i64| {
        let change = json!({ "field": "messages", "value": { "errors": [{ "code": 130_429 }] } });
        let entry = json!({ "id": "W1", "time": time, "changes": [change] });
        key(&records(&json!({ "object": OBJECT, "entry": [entry] }))[0])
    };
    assert_eq!(error(1), error(1));
    assert_ne!(error(1), error(2));
}

#[test]
fn what_is_said_once_for_many_messages_does_not_make_a_small_body_large() {
    let long = "x".repeat(1_000_000);
    let messages: Vec<Value> = (0..1000).map(|id| text(&id.to_string())).collect();
    let contacts = json!([{ "wa_id": "49151123456", "profile": { "name": long } }]);
    let metadata = json!({ "phone_number_id": long });
    for value in [
        json!({ "contacts": contacts, "messages": messages }),
        json!({ "metadata": metadata, "messages": messages }),
        json!({ "new": long, "messages": messages }),
    ] {
        assert_eq!(normalize(&change("messages", &value)).elements[0].as_ref().unwrap_err().reason, BadReason::TooMany);
    }
    let changes = vec![json!({ "field": "new" }); 1000];
    let body = json!({ "object": OBJECT, "entry": [{ "id": long, "changes": changes }] });
    assert_eq!(normalize(&body).elements[0].as_ref().unwrap_err().reason, BadReason::TooMany);
}

#[test]
fn many_contacts_and_many_messages_take_no_time() {
    let messages: Vec<Value> = (0..9_000).map(|id| text(&id.to_string())).collect();
    let contacts: Vec<Value> = (0..60_000).map(|number| json!({ "wa_id": number.to_string() })).collect();
    let body = change("messages", &json!({ "contacts": contacts, "messages": messages }));
    let start = Instant::now();
    assert_eq!(normalize(&body).parts, 9_000);
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[test]
fn what_was_replaced_in_one_element_is_said_of_no_other() {
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    let bad = r#"{"a":"half \ud83d"}"#;
    let of = |provider: &str, channel, content_type: &str, body: String| -> Vec<Vec<String>> {
        let adapter = find(channel, provider).unwrap();
        let raw = Owned::post(content_type, body).as_raw(adapter, Verified::Yes);
        let elements = adapter.normalize(&raw, &SourceSettings::default()).elements;
        let notes = |record: Box<Record>| record.message.truncations.iter().map(|note| note.reason.clone()).collect();
        elements.into_iter().map(|element| notes(element.unwrap())).collect()
    };
    let expected = [vec!["surrogate".to_owned()], vec![], vec!["depth".to_owned()]];
    let body = format!(r#"[{bad},{{"a":"whole"}},{{"a":{deep}}}]"#);
    assert_eq!(of("generic", Channel::Form, "application/json", body), expected);
    let event = |data: &str| format!(r#"{{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{data}}}"#);
    let body = format!("[{},{},{}]", event(bad), event("1"), event(&deep));
    assert_eq!(of("cloudevents", Channel::Webhook, "application/cloudevents-batch+json", body), expected);
    let message = |more: &str| format!(r#"{{"from":"49151123456","type":"text","text":{more}}}"#);
    let messages = [r#"{"body":"half \ud83d"}"#, r#"{"body":"x"}"#, &format!(r#"{{"body":"x","more":{deep}}}"#)]
        .map(message)
        .join(",");
    let body = format!(
        r#"{{"object":"{OBJECT}","entry":[{{"changes":[{{"field":"messages","value":{{"messages":[{messages}]}}}}]}}]}}"#
    );
    assert_eq!(of("meta", Channel::WhatsApp, "application/json", body), expected);
}

#[test]
fn a_state_that_may_come_again_is_told_by_its_time() {
    let status = |more: &Value| {
        let mut status = json!({ "id": "w", "status": "failed", "recipient_id": "49151123456" });
        status.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        key(&one("messages", &json!({ "statuses": [status] })))
    };
    let payment = |time: &str| status(&json!({ "type": "payment", "timestamp": time }));
    assert_eq!(payment("1"), payment("1"));
    assert_ne!(payment("1"), payment("2"));
    assert_ne!(payment("1"), status(&json!({ "timestamp": "1" })));
    assert_eq!(status(&json!({ "timestamp": "1" })), status(&json!({ "type": "message", "timestamp": "2" })));
}
