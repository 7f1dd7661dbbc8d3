//! Every sample payload, through the checks of the gateway and the reading of the normalizer, field by field against
//! the records that it must become.

use crate::support::{MAX_BODY, Owned, Source, data, is_handshake, json, now, text, vonage_method};
use comfy_table::Table;
use proto::canonical::Role;
use proto::{Channel, Kind, Verified};
use providers::{Element, FollowUp, Handshake, Record, Scheme, SourceSettings};
use serde_json::{Value, json as value};
use sha2::{Digest as _, Sha256};

/// What a source takes that is also delivered to raw.
const SES_BASIC: &str = "user:password";

/// What the sample's source would be configured with.
fn source(payload: &Value, secrets: &Value) -> Source {
    let secret = |pointer: &str| text(secrets, pointer).to_owned();
    match text(payload, "/provider") {
        "twilio" => Source::new(Channel::Sms, "twilio", &[&secret("/twilio/auth_token")], Scheme::default()),
        "whatsapp_cloud" => {
            Source::new(Channel::WhatsApp, "meta", &[&secret("/whatsapp_cloud/app_secret")], Scheme::default())
        }
        "vonage" if text(payload, "/file").starts_with("vonage-messages") => {
            Source::new(Channel::Sms, "vonage-messages", &[&secret("/vonage/signature_secret")], Scheme::default())
        }
        "vonage" => {
            let algorithm = Some(vonage_method(&secret("/vonage/signature_method")));
            let scheme = Scheme { algorithm, ..Scheme::default() };
            Source::new(Channel::Sms, "vonage", &[&secret("/vonage/signature_secret")], scheme)
        }
        "messagebird" => {
            let provider = if text(payload, "/file").starts_with("bird-") { "bird" } else { "messagebird" };
            Source::new(Channel::Sms, provider, &[&secret("/messagebird/signing_key")], Scheme::default())
        }
        "360dialog" => {
            let secret = secret("/360dialog/platform_secret");
            Source::new(Channel::WhatsApp, "360dialog", &[&secret], Scheme::default())
        }
        "twilio_whatsapp" => {
            let token = secret("/twilio_whatsapp/auth_token");
            Source::new(Channel::WhatsApp, "twilio", &[&token], Scheme::default())
        }
        "plivo" => Source::new(Channel::Sms, "plivo", &[&secret("/plivo/auth_token")], Scheme::default()),
        "sendgrid" => {
            let key = secret("/sendgrid/public_key_spki_der_base64");
            Source::new(Channel::Email, "sendgrid", &[&key], Scheme::default())
        }
        "mailgun" => {
            Source::new(Channel::Email, "mailgun", &[&secret("/mailgun/webhook_signing_key")], Scheme::default())
        }
        "github" => Source::new(Channel::Webhook, "github", &[&secret("/github/secret")], Scheme::default()),
        "typeform" => Source::new(Channel::Form, "typeform", &[&secret("/typeform/secret")], Scheme::default()),
        "tally" => Source::new(Channel::Form, "tally", &[&secret("/tally/secret")], Scheme::default()),
        "generic" => Source::new(Channel::Webhook, "bearer", &[&secret("/generic/bearer")], Scheme::default()),
        "cloudevents" => {
            Source::new(Channel::Webhook, "cloudevents", &[&secret("/cloudevents/bearer")], Scheme::default())
        }
        "raw_mime" => {
            let header = Some(secret("/raw_mime/header"));
            let scheme = Scheme { header, prefix: "sha256=".to_owned(), ..Scheme::default() };
            Source::new(Channel::Email, "mime", &[&secret("/raw_mime/secret")], scheme)
        }
        "ses_sns" => {
            let certificate = secret("/ses_sns/signing_cert_pem");
            let scheme = Scheme { topics: vec![secret("/ses_sns/topic_arn")], ..Scheme::default() };
            Source::new(Channel::Email, "ses", &[&certificate, SES_BASIC], scheme)
        }
        "form_generic" => {
            let header = Some(secret("/form_generic/header"));
            let scheme = Scheme { header, prefix: "sha256=".to_owned(), ..Scheme::default() };
            Source::new(Channel::Form, "generic", &[&secret("/form_generic/secret")], scheme)
        }
        "postmark" => {
            let credentials = format!("{}:{}", secret("/postmark/user"), secret("/postmark/password"));
            Source::new(Channel::Email, "postmark", &[&credentials], Scheme::default())
        }
        other => panic!("no source for {other}"),
    }
}

#[test]
fn every_payload_becomes_the_records_it_should() {
    let secrets = json("payloads/secrets.json");
    let mut table = Table::new();
    table.set_header(["file", "records", "result"]);
    let mut wrong = Vec::new();
    for payload in json("payloads/index.json").as_array().unwrap() {
        let file = text(payload, "/file");
        let body = std::fs::read(data("payloads").join(file)).unwrap();
        let (source, request) = (source(payload, &secrets), Owned::of(payload, body));
        let problems = if is_handshake(payload) && payload["control"]["respond"].is_object() {
            let token = text(&secrets, &format!("/{}/verify_token", text(payload, "/provider"))).to_owned();
            let answer = source.adapter.handshake(&request.as_request(), Some(&token));
            let expected = Some(Handshake::echo(text(payload, "/control/respond/body")));
            (answer != expected).then(|| format!("{answer:?}")).into_iter().collect()
        } else {
            compare(payload, &source, &request)
        };
        let result = if problems.is_empty() { "as expected".to_owned() } else { problems.join("; ") };
        table.add_row([file.to_owned(), payload["records"].as_array().unwrap().len().to_string(), result]);
        wrong.extend(problems.into_iter().map(|problem| format!("{file}: {problem}")));
    }
    println!("{table}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn compare(payload: &Value, source: &Source, request: &Owned) -> Vec<String> {
    let mut problems = Vec::new();
    let mut request = request.clone();
    if text(payload, "/expect").starts_with("reject unless") {
        let judge = |request: &Owned| {
            source.adapter.authenticate(&request.as_request(), &source.keyring, &source.scheme, now(payload))
        };
        problems.extend((judge(&request).verified() == Verified::Yes).then(|| "verifies without signature".to_owned()));
        let signed = source.adapter.sign(&request.as_request(), &source.keyring, &source.scheme, now(payload));
        request.headers.extend(signed.unwrap().headers);
    }
    let verdict = source.adapter.authenticate(&request.as_request(), &source.keyring, &source.scheme, now(payload));
    let follow_up = source.adapter.follow_up(&request.as_request());
    let as_expected = match text(payload, "/control/action") {
        "verify, then GET SubscribeURL" => matches!(follow_up, Some(FollowUp::Call(_))),
        "log; do not follow SubscribeURL automatically" => matches!(follow_up, Some(FollowUp::Warn(_))),
        _ => follow_up.is_none(),
    };
    problems.extend((!as_expected).then(|| format!("is followed by {follow_up:?}")));
    if verdict.verified() != Verified::Yes {
        problems.push(format!("the signature does not verify: {verdict}"));
    }
    let checked = source.adapter.check(&request.as_request(), MAX_BODY);
    if text(payload, "/expect") == "reject" {
        problems.extend(checked.is_ok().then(|| "is not refused".to_owned()));
        return problems;
    }
    problems.extend(checked.err().map(|bad| format!("is refused: {bad}")));
    let raw = request.as_raw(source.adapter, verdict.verified());
    let normalized = source.adapter.normalize(&raw, &SourceSettings::default());
    let expected = payload["records"].as_array().unwrap();
    // Where nothing is expected, one record says so.
    if expected.is_empty() {
        let [Ok(record)] = normalized.elements.as_slice() else { return vec!["is not one record".to_owned()] };
        assert_eq!(record.message.kind, Kind::AccountEvent);
        assert_eq!(record.message.status.as_ref().unwrap().status, "ignored");
        return problems;
    }
    if normalized.elements.len() != expected.len() {
        problems.push(format!("{} elements", normalized.elements.len()));
    }
    for (element, expected) in normalized.elements.iter().zip(expected) {
        problems.extend(differences(element, expected, payload["compare"].as_array()));
    }
    problems
}

/// An address, or several, without what the provider wrote in its place.
fn differences(element: &Element, expected: &Value, compared: Option<&Vec<Value>>) -> Vec<String> {
    let Ok(record) = element else { return vec![format!("{element:?}")] };
    let message = &record.message;
    let party = |address: &Option<String>, name: &Option<String>| match name {
        Some(name) => value!({ "address": address, "name": name }),
        None => value!({ "address": address }),
    };
    let attachments: Vec<Value> = message
        .attachments
        .iter()
        .map(|file| {
            let came = file.location.is_none();
            assert_eq!(file.blake3.is_some(), came, "bytes that came have a hash");
            assert!(!came || file.size.is_some(), "bytes that came have a size");
            value!([file.filename, file.content_type, file.size, file.disposition, file.location, file.content_id])
        })
        .collect();
    let expected_attachments: Vec<Value> = expected["attachments"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| {
            let location = if file["url"].is_null() { &file["provider_media_id"] } else { &file["url"] };
            let content_id = &file["content_id"];
            value!([file["name"], file["content_type"], file["size"], file["disposition"], location, content_id])
        })
        .collect();
    // U+0000 cannot be stored, so it is not expected.
    let expected_text = expected["text"].as_str().map(|text| text.replace('\0', ""));
    let sender = message.sender.as_ref().map(|sender| party(&sender.address, &sender.name));
    let in_role = |role: Role| -> Vec<Value> {
        let recipients = message.recipients.iter().filter(|to| to.role == role);
        recipients.map(|to| party(&to.address, &to.name)).collect()
    };
    let expected_parties =
        |name: &str| -> Value { expected[name].as_array().into_iter().flatten().map(party_of).collect() };
    let metadata: Value = serde_json::from_str(message.metadata.get()).unwrap();
    let reply_to_parties: Vec<Value> =
        metadata["reply_to"].as_array().into_iter().flatten().map(without_null).collect();
    let pairs = [
        ("kind", value!(message.kind), expected["kind"].clone()),
        ("provider_message_id", value!(message.provider_message_id), expected["provider_message_id"].clone()),
        ("from", value!(sender), party_of(&expected["from"])),
        ("to", value!(in_role(Role::To)), expected_parties("to")),
        ("cc", value!(in_role(Role::Cc)), expected_parties("cc")),
        ("reply_to", value!(reply_to_parties), expected_parties("reply_to")),
        ("message_id", metadata["message_id"].clone(), expected["message_id"].clone()),
        ("subject", value!(message.subject), expected["subject"].clone()),
        ("text", value!(message.text), value!(expected_text)),
        ("html", value!(message.html), expected["html"].clone()),
        ("attachments", value!(attachments), value!(expected_attachments)),
        ("attachments", value!(sha256(record)), value!(expected_sha256(expected))),
        ("thread", thread(record), expected_thread(expected)),
        ("sent_at", value!(message.sent_at), value!(expected["sent_at"].as_str().map(in_milliseconds))),
        ("reply_to_id", value!(message.reply_to_id), reply_to(expected)),
        ("status", value!(message.status.as_ref().map(|status| &status.status)), expected["status"].clone()),
    ];
    // Of an event, only what it is about is expected; its word for it is ours to find.
    let is_event = |name: &str| name == "status" && message.kind == Kind::AccountEvent;
    let is_compared = |name: &str| !is_event(name) && compared.is_none_or(|names| names.iter().any(|one| one == name));
    let mut problems: Vec<String> = pairs
        .into_iter()
        .filter(|(name, actual, expected)| is_compared(name) && actual != expected)
        .map(|(name, actual, expected)| format!("{name} is {actual}, expected {expected}"))
        .collect();
    if is_compared("metadata") {
        let mut all = expected["metadata"].as_object().unwrap().clone();
        // What the provider wrote in place of an address, and which part of a long message it is, is metadata here.
        for (key, party) in [("from_raw", &expected["from"]), ("to_raw", &expected["to"][0])] {
            if party["raw"].is_string() && party["raw"] != party["address"] {
                all.insert(key.to_owned(), party["raw"].clone());
            }
        }
        let thread = expected["thread"].as_object().into_iter().flatten();
        all.extend(
            thread.filter(|(key, _)| key.starts_with("concat_")).map(|(key, value)| (key.clone(), value.clone())),
        );
        for (key, expected) in &all {
            if &metadata[key.as_str()] != expected {
                problems.push(format!("metadata.{key} is {}, expected {expected}", metadata[key]));
            }
        }
    }
    problems
}

/// The hashes of the bytes that came with the request, as the samples give them.
fn sha256(record: &Record) -> Vec<String> {
    record.files.iter().map(|file| hex::encode(Sha256::digest(&file.bytes))).collect()
}

fn expected_sha256(expected: &Value) -> Vec<&str> {
    let files = expected["attachments"].as_array().into_iter().flatten();
    files.filter_map(|file| file["sha256"].as_str()).collect()
}

/// The thread of a mail. What a report is about is no thread of the samples, which have that in its metadata.
fn thread(record: &Record) -> Value {
    let message = &record.message;
    if message.channel != Channel::Email || message.kind != Kind::Message {
        return value!([null, 0, null]);
    }
    value!([message.reply_to_id, message.references.len(), message.references.last()])
}

fn expected_thread(expected: &Value) -> Value {
    let thread = &expected["thread"];
    if text(expected, "/channel") != "email" {
        return value!([null, 0, null]);
    }
    let references = thread["references"].as_array();
    let count = thread["references_count"].as_u64().unwrap_or(references.map_or(0, |list| list.len() as u64));
    let last = references.and_then(|list| list.last()).unwrap_or(&thread["references_last"]);
    value!([thread["in_reply_to"], count, last])
}

/// Without the names that are not there.
fn without_null(party: &Value) -> Value {
    let mut party = party.clone();
    if let Some(party) = party.as_object_mut() {
        party.retain(|_, value| !value.is_null());
    }
    party
}

/// As we write times: always with milliseconds.
fn in_milliseconds(time: &str) -> String {
    if time.contains('.') { time.to_owned() } else { time.replace('Z', ".000Z") }
}

/// Without the address as it was written, which is compared by itself.
fn party_of(expected: &Value) -> Value {
    let mut party = expected.clone();
    if let Some(party) = party.as_object_mut() {
        party.remove("raw");
    }
    party
}

/// The message that this one answers or acts on.
fn reply_to(expected: &Value) -> Value {
    ["context_id", "target_id"].into_iter().find_map(|name| expected["thread"].get(name)).cloned().unwrap_or_default()
}

#[test]
fn a_payload_that_leaves_room_for_opinion_is_read_in_ours() {
    let read = |file: &str, content_type: &str| {
        let source = Source::new(Channel::Form, "generic", &[], Scheme::default());
        let body = std::fs::read(data("payloads").join(file)).unwrap();
        let raw = Owned::post(content_type, body).as_raw(source.adapter, Verified::None);
        let normalized = source.adapter.normalize(&raw, &SourceSettings::default());
        normalized.elements.into_iter().next().unwrap().unwrap().message
    };
    let message = read("form-urlencoded-bad-percent.form", "application/x-www-form-urlencoded");
    assert_eq!(message.metadata.get(), "{\"fields\":{\"a\":\"%ZZ\",\"b\":\"%4\",\"c\":\"100%\",\"d\":\"\u{fffd}\"}}");
    assert_eq!(message.truncations[0].reason, "charset");

    let boundary = "multipart/form-data; boundary=\"----WebKitFormBoundaryuFnxVQljZTgrQeYH\"";
    let message = read("form-multipart-odd-names.multipart", boundary);
    let files: Vec<_> = message.attachments.iter().map(|file| (file.filename.clone().unwrap(), file.size)).collect();
    assert_eq!(files, [("写真 \"a\".jpg".to_owned(), Some(120)), ("back.txt".to_owned(), Some(1))]);
    let metadata: Value = serde_json::from_str(message.metadata.get()).unwrap();
    assert_eq!(metadata["fields"], value!({ "lower": "ok" }));
    let fields: Vec<_> = metadata["files"].as_array().unwrap().iter().map(|file| text(file, "/field")).collect();
    assert_eq!(fields, ["file", "na\"me"]);

    let message = read("form-json-duplicate-keys.json", "application/json");
    assert_eq!(message.text.as_deref(), Some("second"));
    assert_eq!(message.truncations[0].reason, "depth");
}

#[test]
fn an_attachment_s_hash_is_that_of_its_bytes_and_its_field_is_told() {
    let source = Source::new(Channel::Form, "generic", &[], Scheme::default());
    let body = std::fs::read(data("payloads/form-multipart-files.multipart")).unwrap();
    let content_type = "multipart/form-data; boundary=----WebKitFormBoundaryuFnxVQljZTgrQeYH";
    let raw = Owned::post(content_type, body.clone()).as_raw(source.adapter, Verified::None);
    let normalized = source.adapter.normalize(&raw, &SourceSettings::default());
    let record = normalized.elements[0].as_ref().unwrap();
    let start = body.windows(4).position(|bytes| bytes == b"\x89PNG").unwrap();
    let hash = blake3::hash(&body[start..start + 120]).to_hex().to_string();
    assert_eq!(record.message.attachments[0].blake3.as_ref(), Some(&hash));
    assert!(record.content.attachments[0].starts_with(&hash));
    let metadata: Value = serde_json::from_str(record.message.metadata.get()).unwrap();
    assert_eq!(metadata["files"][0], value!({ "field": "files", "filename": "bild.png", "blake3": hash }));
    assert_eq!(metadata["files"].as_array().unwrap().len(), record.message.attachments.len());
}
