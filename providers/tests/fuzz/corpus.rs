//! What the fuzzers begin with: the sample requests, the stored corpora, and the requests that each of those can be
//! laid into.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proto::Channel;
use providers::{Adapter, registry};
use serde_json::{Value, json as value};

use crate::support::{Owned, body, data, json, text};

/// The folder with the stored corpora.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")
}

/// Every sample request: the payloads with the headers that came with them, and the bodies of the signature vectors.
pub(crate) fn requests() -> Vec<Owned> {
    let payloads = json("payloads/index.json");
    let payloads = payloads.as_array().unwrap().iter().map(|payload| {
        let bytes = std::fs::read(data("payloads").join(text(payload, "/file"))).unwrap();
        Owned::of(payload, bytes)
    });
    let vectors = json("vectors.json");
    let vectors = vectors.as_array().unwrap().iter();
    payloads.chain(vectors.map(|vector| Owned::of(vector, body(vector)))).collect()
}

/// Every stored e-mail, with its path below the folder, as it is and with the line ends of the wire.
pub(crate) fn mails() -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![folder().join("eml")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ext| ext == "eml") {
                found.push(path);
            }
        }
    }
    // In the order of their names: a seed then means the same on every machine.
    found.sort();
    assert!(found.len() > 100, "the corpus of e-mails is not there");
    let both = |path: PathBuf| {
        let bytes = std::fs::read(&path).unwrap();
        let name = path.strip_prefix(folder()).unwrap().display().to_string();
        let wire = String::from_utf8_lossy(&bytes).replace("\r\n", "\n").replace('\n', "\r\n").into_bytes();
        [(name.clone(), bytes), (format!("{name} (CRLF)"), wire)]
    };
    found.into_iter().flat_map(both).collect()
}

/// The cases of JSON's grammar by name; `y_` is JSON, `n_` is none, `i_` is left to the reader.
pub(crate) fn json_cases() -> Vec<(String, Vec<u8>)> {
    let lines = std::fs::read_to_string(folder().join("json.txt")).unwrap();
    let case = |line: &str| {
        let (name, bytes) = line.split_once(' ').unwrap();
        (name.to_owned(), percent_encoding::percent_decode_str(bytes).collect())
    };
    lines.lines().map(case).collect()
}

/// Texts that break readers, each as the JSON string that says it.
pub(crate) fn naughty() -> Vec<String> {
    let lines = std::fs::read_to_string(folder().join("naughty.jsonl")).unwrap();
    lines.lines().map(str::to_owned).collect()
}

/// The requests in which an e-mail reaches each adapter that reads mail whole.
pub(crate) fn carriers(mail: &[u8]) -> Vec<Owned> {
    let as_text = String::from_utf8_lossy(mail);
    let form: String = form_urlencoded::Serializer::new(String::new()).append_pair("body-mime", &as_text).finish();
    let email = [b"--b\r\nContent-Disposition: form-data; name=\"email\"\r\n\r\n", mail, b"\r\n--b--\r\n"].concat();
    let received = |content: &str, encoding: &str| {
        let action = value!({ "type": "SNS", "encoding": encoding });
        let message =
            value!({ "notificationType": "Received", "mail": {}, "receipt": { "action": action }, "content": content });
        value!({ "Type": "Notification", "MessageId": "1", "TopicArn": "t", "Message": message.to_string() })
            .to_string()
    };
    vec![
        Owned::post("message/rfc822", mail.to_vec()),
        Owned::post("application/json", value!({ "FromFull": {}, "RawEmail": as_text }).to_string()),
        Owned::post("application/x-www-form-urlencoded", form),
        Owned::post("multipart/form-data; boundary=b", email),
        Owned::post("text/plain; charset=UTF-8", received(&as_text, "UTF8")),
        Owned::post("text/plain; charset=UTF-8", received(&STANDARD.encode(mail), "BASE64")),
    ]
}

/// The adapters of the channel e-mail.
pub(crate) fn mail_adapters() -> Vec<&'static dyn Adapter> {
    registry::ALL.iter().copied().filter(|adapter| adapter.channel() == Channel::Email).collect()
}

/// Requests in which a JSON text stands where a reader of JSON meets it, each with the adapter that does.
pub(crate) fn with_json(text: &[u8]) -> Vec<(&'static dyn Adapter, Owned)> {
    let places = [
        (Channel::Webhook, "bearer", "", ""),
        (Channel::Form, "generic", "{\"message\":", "}"),
        (Channel::Webhook, "cloudevents", r#"{"specversion":"1.0","id":"1","source":"/","type":"t","data":"#, "}"),
        (Channel::Email, "postmark", r#"{"FromFull":{"Email":"#, r#"},"Headers":[],"Attachments":[],"TextBody":"x"}"#),
        (Channel::Email, "postmark", r#"{"FromFull":{},"TextBody":"#, "}"),
        (Channel::Email, "postmark", r#"{"FromFull":{},"RawEmail":"#, "}"),
        (Channel::Email, "postmark", r#"{"RecordType":"Open","MessageID":"#, "}"),
        (
            Channel::WhatsApp,
            "meta",
            r#"{"object":"whatsapp_business_account","entry":[{"changes":[{"field":"messages","value":{"messages":["#,
            "]}}]}]}",
        ),
        (Channel::Form, "tally", r#"{"eventId":"1","data":{"fields":["#, "]}}"),
        (Channel::Form, "typeform", r#"{"form_response":{"answers":["#, "]}}"),
        (Channel::Sms, "sinch", r#"{"type":"mo_text","id":"1","body":"#, "}"),
        (Channel::Sms, "vonage", r#"{"messageId":"1","text":"#, "}"),
        (Channel::Sms, "vonage-messages", r#"{"message_uuid":"1","message_type":"text","text":"#, "}"),
    ];
    let request = |(channel, provider, before, after): (Channel, &str, &str, &str)| {
        let adapter = providers::find(channel, provider)?;
        Some((adapter, Owned::post("application/json", [before.as_bytes(), text, after.as_bytes()].concat())))
    };
    places.into_iter().filter_map(request).collect()
}

/// Whether this is JSON beyond all doubt.
pub(crate) fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<Value>(bytes).is_ok()
}
