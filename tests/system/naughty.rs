//! Texts that break readers, in every place where a sender can put one: what the tables hold is what was sent, byte for
//! byte, but for what decision 0008 rewrites and notes.

use std::collections::HashMap;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::StreamExt as _;
use serde_json::Value;
use tests::Request;
use tests::config::TWILIO;
use tests::sign::twilio_request;
use uuid::Uuid;

use crate::shared;

/// Requests under way at once.
const AT_ONCE: usize = 8;

/// A text: how JSON says it, and what it is once half surrogate pairs are U+FFFD.
struct Naughty {
    json: String,
    text: String,
    half: bool,
}

fn all() -> Vec<Naughty> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../providers/tests/corpus/naughty.jsonl");
    let lines = std::fs::read_to_string(path).unwrap();
    let texts = lines.lines().map(|json| {
        let units = units(json);
        let half = String::from_utf16(&units).is_err();
        Naughty { json: json.to_owned(), text: String::from_utf16_lossy(&units), half }
    });
    texts.collect()
}

/// The UTF-16 of a JSON string, which only that can hold whole.
fn units(json: &str) -> Vec<u16> {
    let mut rest = json[1..json.len() - 1].chars();
    let mut units = Vec::new();
    while let Some(character) = rest.next() {
        let escaped = if character == '\\' { rest.next() } else { None };
        let unit = match escaped {
            None => {
                units.extend_from_slice(character.encode_utf16(&mut [0; 2]));
                continue;
            }
            Some('u') => u16::from_str_radix(&rest.by_ref().take(4).collect::<String>(), 16).unwrap(),
            Some('b') => 8,
            Some('f') => 12,
            Some('n') => 10,
            Some('r') => 13,
            Some('t') => 9,
            Some(other) => u16::try_from(u32::from(other)).unwrap(),
        };
        units.push(unit);
    }
    units
}

/// Posts each and gives its row.
async fn rows(source: &str, naughty: &[Naughty], request: impl Fn(usize, &Naughty) -> Request) -> Vec<Value> {
    let pipeline = shared::pipeline().await;
    let requests: Vec<_> = naughty.iter().enumerate().map(|(number, one)| request(number, one)).collect();
    let post = |request: Request| {
        let pipeline = &pipeline;
        async move {
            let answer = pipeline.post(&request).await;
            assert_eq!(answer.status, 200, "{answer}");
            answer.id()
        }
    };
    let ids: Vec<Uuid> = futures::stream::iter(requests.into_iter().map(post)).buffered(AT_ONCE).collect().await;
    let found = pipeline.rows(source, naughty.len(), 0).await;
    let mut by_request: HashMap<String, Value> =
        found.into_iter().map(|row| (row["request_id"].as_str().unwrap().to_owned(), row)).collect();
    ids.iter().map(|id| by_request.remove(&id.to_string()).unwrap()).collect()
}

/// Compares a column, and that what was rewritten is noted and nothing else.
fn compare(one: &Naughty, row: &Value, column: &Value, expected: &str) {
    let stored = expected.replace('\0', "");
    assert_eq!(column.as_str().unwrap_or_default().as_bytes(), stored.as_bytes(), "{}: {row:#}", one.json);
    let notes = row["truncations"].to_string();
    assert_eq!(notes.contains("\"nul\""), one.text.contains('\0'), "{}: {row:#}", one.json);
    assert_eq!(notes.contains("\"surrogate\""), one.half, "{}: {row:#}", one.json);
}

#[tokio::test]
async fn every_naughty_text_in_json_is_stored_as_it_came() {
    let naughty = all();
    let request = |number, one: &Naughty| {
        let body = format!("{{\"message\": {0}, \"deep\": [{{\"a\": {0}}}], \"n\": {number}}}", one.json);
        Request::json("/v1/webhook/naughty-json", body)
    };
    for (one, row) in naughty.iter().zip(rows("naughty-json", &naughty, request).await) {
        compare(one, &row, &row["text"], &one.text);
        compare(one, &row, &row["metadata"]["fields"]["deep"][0]["a"], &one.text);
    }
}

#[tokio::test]
async fn every_naughty_text_in_a_form_is_stored_as_it_came() {
    let naughty: Vec<_> = all().into_iter().filter(|one| !one.half).collect();
    let request = |number: usize, one: &Naughty| {
        Request::form("/v1/form/naughty-form", &[("message", &one.text), ("n", &number.to_string())])
    };
    for (one, row) in naughty.iter().zip(rows("naughty-form", &naughty, request).await) {
        compare(one, &row, &row["text"], &one.text);
        compare(one, &row, &row["metadata"]["fields"]["message"], &one.text);
    }
}

#[tokio::test]
async fn every_naughty_text_in_an_sms_is_stored_as_it_came() {
    let naughty: Vec<_> = all().into_iter().filter(|one| !one.half).collect();
    let request = |number: usize, one: &Naughty| {
        let sid = format!("SM{number:032x}");
        let fields =
            [("MessageSid", sid.as_str()), ("From", "+15005550006"), ("To", "+15005550001"), ("Body", &one.text)];
        twilio_request(TWILIO, "naughty-sms", &fields)
    };
    for (one, row) in naughty.iter().zip(rows("naughty-sms", &naughty, request).await) {
        compare(one, &row, &row["text"], &one.text);
    }
}

/// As a mail has it: without the byte order mark of its encoding, with one kind of line end and none at the end.
fn in_lines(text: &str) -> String {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    text.trim_end_matches('\n').to_owned()
}

#[tokio::test]
async fn every_naughty_text_in_a_mail_is_stored_but_for_its_line_ends() {
    let naughty: Vec<_> = all().into_iter().filter(|one| !one.half).collect();
    let request = |number, one: &Naughty| {
        let (subject, text) = (STANDARD.encode(&one.text), STANDARD.encode(&one.text));
        let mail = format!(
            "From: a@x.example\r\nSubject: =?utf-8?b?{subject}?=\r\nMessage-ID: <{number}@x>\r\n\
             Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n{text}\r\n"
        );
        Request::post("/v1/email/naughty-mime", mail)
            .header("Content-Type", "message/rfc822")
            .header("Authorization", "Bearer token")
    };
    for (one, row) in naughty.iter().zip(rows("naughty-mime", &naughty, request).await) {
        compare(one, &row, &row["text"], &in_lines(&one.text));
        // A field of a header is one line.
        let subject = row["subject"].as_str().unwrap_or_default();
        let one_line = |text: &str| text.replace('\0', "").split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(one_line(subject), one_line(&in_lines(&one.text)), "{}: {row:#}", one.json);
    }
}

#[tokio::test]
async fn every_naughty_text_from_postmark_is_stored_but_for_its_line_ends() {
    let naughty = all();
    let request = |number, one: &Naughty| {
        let body = format!(
            "{{\"FromFull\":{{\"Email\":\"a@x.example\",\"Name\":{0}}},\"Subject\":{0},\"TextBody\":{0},\
             \"MailboxHash\":{0},\"Headers\":[{{\"Name\":\"Message-ID\",\"Value\":\"<{number}@x>\"}}]}}",
            one.json
        );
        Request::json("/v1/email/naughty-postmark?key=secret", body)
    };
    for (one, row) in naughty.iter().zip(rows("naughty-postmark", &naughty, request).await) {
        compare(one, &row, &row["text"], &in_lines(&one.text));
        compare(one, &row, &row["subject"], &one.text);
    }
}
