//! The key: what must not change it, and what must.

use crate::support::Owned;
use bytes::Bytes;
use proptest::prelude::*;
use proto::subject::SourceName;
use proto::{Channel, DedupKey, HashKey, Millis, Policy, Verified};
use providers::{RawRequest, Record, Scheme, SourceSettings, Windows, dedup, find};
use serde_json::{Map, Number, Value, json};

const WINDOWS: Windows = Windows { id_ms: 8, content_ms: 1 };

fn secret() -> HashKey {
    HashKey::derive(b"secret")
}

fn records(raw: &RawRequest, settings: &SourceSettings) -> Vec<Record> {
    let adapter = find(raw.channel, &raw.envelope.provider).unwrap();
    adapter.normalize(raw, settings).elements.into_iter().map(|element| *element.unwrap()).collect()
}

fn keys_of(raw: &RawRequest, policy: Policy, settings: &SourceSettings) -> Vec<DedupKey> {
    records(raw, settings).iter().map(|record| dedup::key(record, policy, WINDOWS, &secret()).0).collect()
}

fn key_of(raw: &RawRequest, policy: Policy) -> DedupKey {
    keys_of(raw, policy, &SourceSettings::default())[0]
}

fn raw(channel: Channel, provider: &str, request: &Owned, verified: Verified) -> RawRequest {
    request.as_raw(find(channel, provider).unwrap(), verified)
}

fn form(body: impl Into<Bytes>) -> RawRequest {
    raw(Channel::Form, "generic", &Owned::post("application/json", body), Verified::None)
}

fn sms(body: &str, verified: Verified) -> RawRequest {
    raw(Channel::Sms, "twilio", &Owned::post("application/x-www-form-urlencoded", body.to_owned()), verified)
}

/// Any JSON value, its texts in one Unicode form.
fn value() -> impl Strategy<Value = Value> {
    let number = "(0|-?[1-9][0-9]{0,25})(\\.[0-9]{1,25})?(e[0-9]{1,2})?";
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        number.prop_map(|text| Value::Number(text.parse::<Number>().unwrap())),
        "[ -~]{0,12}".prop_map(Value::String),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            prop::collection::vec(("[a-e]{1,3}", inner), 0..6)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

fn object() -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::vec(("[a-z]{1,4}", value()), 0..8).prop_map(|entries| entries.into_iter().collect())
}

/// The same JSON with other space, and the keys in reverse.
fn rewritten(value: &Value) -> String {
    match value {
        Value::Array(values) => format!("[\n{}\t]", values.iter().map(rewritten).collect::<Vec<_>>().join(" ,")),
        Value::Object(map) => {
            let entries = map.iter().rev();
            let entries =
                entries.map(|(key, value)| format!("{}\r\n: {}", Value::String(key.clone()), rewritten(value)));
            format!(" {{ {} }} ", entries.collect::<Vec<_>>().join("\n, "))
        }
        other => other.to_string(),
    }
}

proptest! {
    #[test]
    fn a_second_delivery_of_the_same_content_has_the_same_key(
        fields in object(),
        received_at in 0_i64..4_000_000_000_000,
        id in any::<u128>(),
        token in "[a-z]{0,20}",
    ) {
        let fields = Value::Object(fields);
        let first = form(fields.to_string());
        let mut second = form(rewritten(&fields));
        second.envelope.received_at = Millis::from_unix(received_at).unwrap();
        second.envelope.id = uuid::Uuid::from_u128(id);
        second.envelope.headers.insert(0, ("user-agent".to_owned(), token.clone().into_bytes()));
        second.envelope.headers.push(("x-attempt".to_owned(), token.into_bytes()));
        second.raw_sequence += 1;
        for policy in [Policy::Auto, Policy::Content] {
            prop_assert_eq!(key_of(&first, policy), key_of(&second, policy));
        }
    }

    #[test]
    fn other_fields_have_another_key(one in object(), other in object()) {
        let equal = one == other;
        let (first, second) = (form(Value::Object(one).to_string()), form(Value::Object(other).to_string()));
        prop_assert_eq!(equal, key_of(&first, Policy::Auto) == key_of(&second, Policy::Auto));
    }

    #[test]
    fn a_change_anywhere_has_another_key(fields in object(), name in "[a-z]{1,4}", change in value()) {
        let mut changed = fields.clone();
        let before = changed.insert(name, change.clone());
        prop_assume!(before.as_ref() != Some(&change));
        let (first, second) = (form(Value::Object(fields).to_string()), form(Value::Object(changed).to_string()));
        prop_assert_ne!(key_of(&first, Policy::Auto), key_of(&second, Policy::Auto));
    }

    #[test]
    fn parameters_are_the_same_in_any_order(from in "[0-9]{5}", body in "[a-z ]{0,20}", status in any::<bool>()) {
        let mut pairs = vec![("From", from.as_str()), ("To", "72345"), ("Body", &body), ("NumMedia", "0")];
        if status {
            pairs.push(("MessageStatus", "sent"));
            pairs.push(("MessageSid", "SM1"));
        }
        let encoded = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter().map(|(name, value)| format!("{name}={}", value.replace(' ', "+")));
            let form = pairs.collect::<Vec<_>>().join("&");
            let request = Owned::post("application/x-www-form-urlencoded", form);
            raw(Channel::Sms, "twilio", &request, Verified::No)
        };
        let first = encoded(&pairs);
        pairs.reverse();
        prop_assert_eq!(key_of(&first, Policy::Content), key_of(&encoded(&pairs), Policy::Content));
    }
}

#[test]
fn a_provider_s_id_is_the_key_as_long_as_it_can_be_trusted() {
    let key = |body: &str, verified| {
        let raw = sms(body, verified);
        let records = records(&raw, &SourceSettings::default());
        dedup::key(&records[0], Policy::Auto, WINDOWS, &secret())
    };
    let body = "MessageSid=SM1&From=%2B14155551438&To=%2B14155553237&Body=yes";
    let (trusted, rule) = key(body, Verified::Yes);
    assert_eq!((rule.policy, rule.window_ms), (Policy::Auto, WINDOWS.id_ms));
    assert_eq!(trusted, key("MessageSid=SM1&From=1&To=2&Body=other", Verified::Yes).0, "the id is all that counts");
    assert_ne!(trusted, key(&body.replace("SM1", "SM2"), Verified::Yes).0);

    let (forged, rule) = key(body, Verified::No);
    assert_eq!((rule.policy, rule.window_ms), (Policy::Content, WINDOWS.content_ms));
    assert_ne!(forged, trusted, "a forged copy does not take the place of the real message");
    assert_eq!(forged, key(body, Verified::No).0);
    assert_ne!(forged, key("MessageSid=SM1&From=%2B14155551438&To=%2B14155553237&Body=no", Verified::No).0);
}

/// A wrong secret on our side under `verify = observe`: everything that is real says `verified = no`.
#[test]
fn equal_texts_with_other_ids_are_two_records_also_where_nothing_verifies() {
    let body = |sid: &str| format!("MessageSid={sid}&From=%2B14155551438&To=%2B14155553237&Body=yes");
    let key = |sid: &str, policy| key_of(&sms(&body(sid), Verified::No), policy);
    assert_ne!(key("SM1", Policy::Auto), key("SM2", Policy::Auto));
    assert_eq!(key("SM1", Policy::Auto), key("SM1", Policy::Auto));
    assert_ne!(key("SM1", Policy::Auto), key("SM1", Policy::Content));
    assert_eq!(key("SM1", Policy::Content), key("SM2", Policy::Content), "content is what this source asked for");
}

#[test]
fn the_id_that_was_signed_is_the_id_that_counts() {
    let adapter = find(Channel::Webhook, "standard").unwrap();
    let keyring = adapter.keyring(&["whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"], &Scheme::default()).unwrap();
    let now = Millis::from_unix(1_785_564_409_000).unwrap();
    let mut signed = Owned::post("application/json", "{}").with("webhook-id", "msg_real");
    let made = adapter.sign(&signed.as_request(), &keyring, &Scheme::default(), now).unwrap();
    signed.headers.extend(made.headers);
    for (name, _) in &mut signed.headers {
        *name = name.replace("webhook-", "svix-");
    }
    let id_of = |request: &Owned| {
        let verdict = adapter.authenticate(&request.as_request(), &keyring, &Scheme::default(), now);
        assert_eq!(verdict.verified(), Verified::Yes);
        records(&request.as_raw(adapter, Verified::Yes), &SourceSettings::default())[0]
            .message
            .provider_message_id
            .clone()
    };
    assert_eq!(id_of(&signed).as_deref(), Some("msg_real"));
    for signature in [None, Some(""), Some(" ")] {
        let mut forged = signed.clone();
        forged.headers.insert(0, ("webhook-id".to_owned(), b"msg_forged".to_vec()));
        if let Some(signature) = signature {
            forged = forged.with("webhook-signature", signature);
        }
        assert_eq!(id_of(&forged).as_deref(), Some("msg_real"), "{signature:?}");
    }
    // Nothing is signed: what is there is still shown.
    let unsigned = Owned::post("application/json", "{}").with("svix-id", "msg_1");
    let record = &records(&unsigned.as_raw(adapter, Verified::No), &SourceSettings::default())[0];
    assert_eq!(record.message.provider_message_id.as_deref(), Some("msg_1"));
}

#[test]
fn what_could_not_be_decoded_may_have_been_different() {
    for template in ["{\"m\":\"HALF\"}", "[{\"m\":\"HALF\"},{\"m\":\"x\"}]"] {
        let keys =
            |half: &str| keys_of(&form(template.replace("HALF", half)), Policy::Auto, &SourceSettings::default());
        let (one, other) = (keys("\\ud83d"), keys("\\ud83e"));
        assert_eq!(one, keys("\\ud83d"));
        assert_ne!(one[0], other[0], "{template}");
        assert_eq!(one.get(1), other.get(1), "what is whole is the same");
    }
}

#[test]
fn every_state_of_a_message_is_a_record_of_its_own() {
    let statuses = [
        "MessageSid=SM1&MessageStatus=sent&To=1&From=2",
        "MessageSid=SM1&MessageStatus=delivered&To=1&From=2",
        "MessageSid=SM1&MessageStatus=delivered&To=3&From=2",
        "MessageSid=SM1&Body=&To=1&From=2",
    ];
    for policy in [Policy::Auto, Policy::Content, Policy::Off] {
        let mut keys: Vec<_> = statuses.iter().map(|body| key_of(&sms(body, Verified::Yes), policy)).collect();
        if policy == Policy::Off {
            keys.truncate(1);
        }
        let count = keys.len();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), count, "{policy}");
    }
}

#[test]
fn two_ways_to_write_the_same_text_are_one_content() {
    let key = |text: &str| key_of(&form(json!({ "message": text }).to_string()), Policy::Content);
    assert_eq!(key("caf\u{e9}\r\nb\rc"), key("cafe\u{301}\nb\nc"));
    assert_ne!(key("a b"), key("a  b"));
    assert_ne!(key_of(&form(r#"{"a":1}"#), Policy::Auto), key_of(&form(r#"{"a":1.0}"#), Policy::Auto));
    assert_ne!(key_of(&form(r#"{"a":"1"}"#), Policy::Auto), key_of(&form(r#"{"a":1}"#), Policy::Auto));
    assert_ne!(key_of(&form(r#"{"a":""}"#), Policy::Auto), key_of(&form(r#"{"a":null}"#), Policy::Auto));
}

#[test]
fn the_policies_never_share_a_key() {
    let settings = SourceSettings { id_field: Some("id".to_owned()), ..SourceSettings::default() };
    let raw = form(r#"{"id":"a"}"#);
    let keys = [Policy::Auto, Policy::Content, Policy::Off].map(|policy| keys_of(&raw, policy, &settings)[0]);
    assert!(keys[0] != keys[1] && keys[1] != keys[2] && keys[0] != keys[2]);
}

#[test]
fn a_field_or_header_is_an_id_only_where_the_source_says_so() {
    let raw = form(r#"[{"id":"a","x":1},{"id":"a","x":2},{"id":7}]"#);
    let unnamed = keys_of(&raw, Policy::Auto, &SourceSettings::default());
    assert_ne!(unnamed[0], unnamed[1]);
    let field = SourceSettings { id_field: Some("id".to_owned()), ..SourceSettings::default() };
    let named = keys_of(&raw, Policy::Auto, &field);
    assert_eq!(named[0], named[1]);
    assert_ne!(named[0], named[2]);

    let mut raw = raw;
    raw.envelope.headers.push(("Idempotency-Key".to_owned(), b"k".to_vec()));
    let header = SourceSettings { id_header: Some("idempotency-key".to_owned()), ..SourceSettings::default() };
    let batch = keys_of(&raw, Policy::Auto, &header);
    assert!(batch[0] != batch[1] && batch[1] != batch[2], "one header over a batch does not make its elements one");
}

#[test]
fn files_with_other_bytes_or_in_another_field_are_other_content() {
    let upload = |field: &str, name: &str, bytes: &str| {
        let head = format!("--b\r\nContent-Disposition: form-data; name=\"{field}\"; filename");
        let body = format!("{head}=\"{name}\"\r\nContent-Type: image/png\r\n\r\n{bytes}\r\n--b--\r\n");
        let request = Owned::post("multipart/form-data; boundary=b", body);
        key_of(&raw(Channel::Form, "generic", &request, Verified::None), Policy::Auto)
    };
    assert_eq!(upload("f", "a.png", "1"), upload("f", "a.png", "1"));
    assert_ne!(upload("f", "a.png", "1"), upload("f", "a.png", "2"));
    assert_ne!(upload("passport", "a.png", "1"), upload("photo", "a.png", "1"));
}

/// Bytes that fit no character set all become U+FFFD, and are not the same for that.
#[test]
fn forms_that_cannot_be_decoded_are_not_equal_for_that() {
    let key = |body: &str, content_type: &str| {
        let request = Owned::post(content_type, body.to_owned());
        key_of(&raw(Channel::Form, "generic", &request, Verified::None), Policy::Auto)
    };
    let form = "application/x-www-form-urlencoded";
    for label in ["utf-16", "utf-16be", "hz-gb-2312", "iso-2022-kr", "replacement", "utf-8"] {
        let content_type = format!("{form}; charset={label}");
        assert_ne!(key("message=one", &content_type), key("message=two", &content_type), "{label}");
        assert_ne!(key("message=%E2%82", &content_type), key("message=%E2%83", &content_type), "{label}");
    }
    let multipart = |bytes: &str| {
        let head = "--b\r\nContent-Disposition: form-data; name=\"_charset_\"\r\n\r\niso-2022-kr\r\n";
        format!("{head}--b\r\nContent-Disposition: form-data; name=\"message\"\r\n\r\n{bytes}\r\n--b--\r\n")
    };
    let content_type = "multipart/form-data; boundary=b";
    assert_ne!(key(&multipart("one"), content_type), key(&multipart("two"), content_type));
    assert_ne!(key("one", "text/plain; charset=hz-gb-2312"), key("two", "text/plain; charset=hz-gb-2312"));
}

/// A change in any of these means that repeats across an upgrade become rows.
#[test]
fn keys_never_change() {
    let standard = Owned::post("application/json", r#"{"type":"t","data":{"n":1.50}}"#).with("webhook-id", "msg_1");
    let issue = Owned::post("application/json", r#"{"action":"opened"}"#).with("x-github-delivery", "d-1");
    let message = "MessageSid=SM1&From=%2B14155551438&To=%2B14155553237&Body=yes";
    let status = "MessageSid=SM1&MessageStatus=sent&From=%2B14155551438&To=%2B14155553237";
    let chat = |value: &str| {
        let changes = format!(r#"[{{"field":"messages","value":{{{value}}}}}]"#);
        let body = format!(r#"{{"object":"whatsapp_business_account","entry":[{{"changes":{changes}}}]}}"#);
        raw(Channel::WhatsApp, "meta", &Owned::post("application/json", body), Verified::Yes)
    };
    let reaction =
        r#""messages":[{"from":"49151","id":"w2","type":"reaction","reaction":{"message_id":"w","emoji":"x"}}]"#;
    let read = r#""statuses":[{"id":"w","status":"read","recipient_id":"49151"}]"#;
    let route = "recipient=in%40x.example&from=a%40y.example&subject=s&body-plain=hi&token=t&\
                 message-headers=[[\"Message-Id\",\"%3C1%40y.example%3E\"]]";
    let route = Owned::post("application/x-www-form-urlencoded", route);
    let event =
        Owned::post("application/json", r#"{"event-data":{"event":"opened","id":"e","recipient":"a@y.example"}}"#);
    let field =
        |name: &str, value: &str| format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    let parse = [
        field("headers", "Message-ID: <1@y.example>\nFrom: a@y.example\nSubject: s\n"),
        field("text", "hi"),
        field("envelope", r#"{"to":["in@x.example"],"from":""}"#),
    ];
    let parse = Owned::post("multipart/form-data; boundary=b", format!("{}--b--\r\n", parse.concat()));
    let golden = [
        (raw(Channel::Email, "mailgun", &route, Verified::Yes), Policy::Auto, "5a86f0a12e6c2e787c3649342e9d649a"),
        (raw(Channel::Email, "mailgun", &route, Verified::No), Policy::Auto, "a77dac0a81a055c1021866745ab7cac3"),
        (raw(Channel::Email, "mailgun", &event, Verified::Yes), Policy::Auto, "e02d84e275bb042ef9648f6bdf4da112"),
        (raw(Channel::Email, "sendgrid", &parse, Verified::Yes), Policy::Auto, "722160dbd23b0e7eb2e4cfc4358cf7f6"),
        (chat(reaction), Policy::Auto, "28634ea3e45a6fa5ab8fa539ecc6b101"),
        (chat(reaction), Policy::Content, "a49d73a0f05fe25828700c59bdfc946d"),
        (chat(read), Policy::Auto, "249292d9aae8571f0b5df05b550317b5"),
        (sms(message, Verified::Yes), Policy::Auto, "b91f748dd94819600dda5d99dc9f3c4c"),
        (sms(message, Verified::Yes), Policy::Content, "5a7feed854d46a03ccd46d963badc970"),
        (sms(message, Verified::Yes), Policy::Off, "09d965640153559edf157eb00156ad82"),
        (sms(status, Verified::Yes), Policy::Auto, "151e0b011be76beed5c6db394b7a0b92"),
        (sms(status, Verified::No), Policy::Auto, "983215ff0c056fe5ac0ca796b360f57a"),
        (form(r#"{"message":"é","n":[1.50,null,true]}"#), Policy::Auto, "dbc9aeb5b0e5d6792c5946e157e969ce"),
        (raw(Channel::Webhook, "standard", &standard, Verified::Yes), Policy::Auto, "eab02db3073ce834ee8a1578c18f32f8"),
        (
            raw(Channel::Webhook, "standard", &standard, Verified::Yes),
            Policy::Content,
            "99166dbdc97b6de194eb0138ecd49a8d",
        ),
        (raw(Channel::Webhook, "github", &issue, Verified::Yes), Policy::Auto, "2d5bc71dff7188d1bdeedd462890fcf7"),
        (raw(Channel::Webhook, "none", &issue, Verified::None), Policy::Auto, "9da198d84ca47bc265f02cb35bf7b68f"),
    ];
    let actual: Vec<String> = golden.iter().map(|(raw, policy, _)| key_of(raw, *policy).to_string()).collect();
    let expected: Vec<&str> = golden.iter().map(|(_, _, expected)| *expected).collect();
    assert_eq!(actual, expected);

    // The same as the vector in `proto`: auto, sms, support, twilio, yes, message, message, SM1.
    let mut support = sms(message, Verified::Yes);
    support.source = SourceName::parse("support").unwrap();
    assert_eq!(key_of(&support, Policy::Auto).to_string(), "fef42ca790c25f09156e48cb7e8da032");
}
