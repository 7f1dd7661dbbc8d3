//! What the reference says of mails and no sample shows, through the adapter.

use bytes::Bytes;
use proto::{CanonicalMessage, Channel, Kind, Policy, Verified};
use providers::{Normalized, Record, SourceSettings, Windows, dedup, find};

use crate::support::{Owned, data};

fn normalize(body: impl Into<Bytes>) -> Normalized {
    let adapter = find(Channel::Email, "mime").unwrap();
    let request = Owned::post("message/rfc822", body);
    adapter.normalize(&request.as_raw(adapter, Verified::Yes), &SourceSettings::default())
}

fn record(body: impl Into<Bytes>) -> Record {
    let normalized = normalize(body);
    assert_eq!(normalized.elements.len(), 1);
    *normalized.elements.into_iter().next().unwrap().unwrap()
}

fn message(body: impl Into<Bytes>) -> CanonicalMessage {
    record(body).message
}

fn key(body: impl Into<Bytes>) -> (String, Policy) {
    let windows = Windows { id_ms: 2, content_ms: 1 };
    let (key, rule) = dedup::key(&record(body), Policy::Auto, windows, &proto::HashKey::derive(b"k"));
    (key.to_string(), rule.policy)
}

const MAIL: &str = "From: jo@x.example\r\nTo: us@y.example\r\nDate: 31 Jul 2026 12:00:00 +0000\r\n\
                    Message-ID: <1@x.example>\r\nSubject: hi\r\n\r\nhello\r\n";

#[test]
fn the_same_mail_is_a_repeat_however_it_came_and_any_other_is_none() {
    let (first, policy) = key(MAIL);
    assert_eq!(policy, Policy::Auto);
    assert_eq!(key(format!("Received: from a by b; later\r\n{MAIL}")).0, first, "another way");
    let others = [
        MAIL.replace("hello", "hello!"),
        MAIL.replace("<1@", "<2@"),
        MAIL.replace("us@", "them@"),
        MAIL.replace("jo@", "bo@"),
        format!("Delivered-To: bcc@y.example\r\n{MAIL}"),
        MAIL.replace("hello", "hell\u{0}o"),
    ];
    for other in others {
        assert_ne!(key(other.clone()).0, first, "{other}");
    }
}

#[test]
fn without_an_id_the_date_and_the_content_tell_mails_apart() {
    let mail = MAIL.replace("Message-ID: <1@x.example>\r\n", "");
    let (first, policy) = key(mail.clone());
    assert_eq!((key(mail.clone()).0, policy), (first.clone(), Policy::Auto));
    assert_ne!(key(mail.replace("12:00:00", "12:00:01")).0, first);
    let undated = mail.replace("Date: 31 Jul 2026 12:00:00 +0000\r\n", "");
    assert_eq!(key(undated.clone()).1, Policy::Content, "a guess, for minutes");
    assert_eq!(key(undated.clone()).0, key(undated).0);
}

#[test]
fn nul_is_taken_out_and_said() {
    let message = message(MAIL.replace("hello", "a\u{0}b").replace("hi", "h\u{0}i"));
    assert_eq!((message.text.as_deref(), message.subject.as_deref()), (Some("ab"), Some("hi")));
    let notes: Vec<_> = message.truncations.iter().map(|note| (note.field.as_str(), note.reason.as_str())).collect();
    assert_eq!(notes, [("subject", "nul"), ("text", "nul")]);
}

#[test]
fn a_text_made_of_html_is_not_called_the_sender_s() {
    let message = message("Content-Type: text/html\r\n\r\n<h1>Hi</h1><p>you &amp; me</p>");
    assert_eq!(message.text, None);
    let metadata: serde_json::Value = serde_json::from_str(message.metadata.get()).unwrap();
    assert_eq!(metadata["text_from_html"], "Hi\n\nyou & me");
}

#[test]
fn an_answer_is_of_the_conversation_that_it_answers() {
    let answer = |fields: &str| message(format!("{fields}{MAIL}"));
    let threaded = answer("References: <a@x> <b@x>\r\nIn-Reply-To: <b@x>\r\n");
    assert_eq!((threaded.conversation.as_deref(), threaded.reply_to_id.as_deref()), (Some("a@x"), Some("b@x")));
    assert_eq!(threaded.references, ["a@x", "b@x"]);
    assert_eq!(answer("In-Reply-To: <b@x>\r\n").conversation.as_deref(), Some("b@x"));
    assert_eq!(message(MAIL).conversation.as_deref(), Some("test:jo@x.example:us@y.example"));
}

#[test]
fn nothing_panics_and_every_body_ends_in_a_record() {
    let payloads = std::fs::read_dir(data("payloads")).unwrap().map(|entry| entry.unwrap().path());
    let mails = payloads.filter(|path| path.extension().is_some_and(|extension| extension == "eml"));
    let mut tried = 0;
    for path in mails {
        let bytes = std::fs::read(path).unwrap();
        if bytes.len() > 20_000 {
            continue;
        }
        // Cut anywhere, a line left out, a byte changed.
        for at in (0..bytes.len()).step_by(97) {
            let mut changed = bytes.clone();
            changed[at] = [b'\r', b'\n', b'-', b'=', b'"', 0, 0xff, b'('][at % 8];
            for body in [bytes[..at].to_vec(), [&bytes[..at], &bytes[(at + 60).min(bytes.len())..]].concat(), changed] {
                let normalized = normalize(body);
                assert!(!normalized.elements.is_empty() && normalized.elements.iter().all(Result::is_ok));
                tried += 1;
            }
        }
    }
    assert!(tried > 1_000, "{tried}");
}

#[test]
fn hostile_mails_end_in_bounded_time_and_memory() {
    let nested = |levels: u32| -> String {
        let level = |level| {
            [format!("Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n"), format!("--b{level}\r\n")].concat()
        };
        (0..levels).map(level).collect()
    };
    let bodies = [
        nested(5_000),
        // Each of these lines might be a delimiter of a hundred multiparts.
        format!("{}{}", nested(100), "--b9999\n".repeat(100_000)),
        format!("From: {}\r\n\r\n", "a@b.example, ".repeat(400_000)),
        format!("From: {}\r\n\r\n", "(".repeat(1_000_000)),
        format!("Subject: {}\r\n\r\n", "=?utf-8?B?YQ==?= ".repeat(200_000)),
        format!("References: {}\r\n\r\n", "<a@b>".repeat(200_000)),
        "a:\r\n".repeat(200_000),
        format!("Content-Type: text/plain{}\r\n\r\n", "; a=b".repeat(100_000)),
        format!("Content-Type: text/html\r\n\r\n{}", "<div>".repeat(300_000)),
        format!("Content-Transfer-Encoding: base64\r\n\r\n{}", "!".repeat(1_000_000)),
        format!("Content-Transfer-Encoding: quoted-printable\r\n\r\n{}", "=\n".repeat(300_000)),
        "-".repeat(1_000_000),
        "\r".repeat(1_000_000),
        format!(
            "Content-Type: multipart/report; boundary=r\r\n\r\n--r\r\nContent-Type: message/delivery-status\r\n\r\n{}",
            "Final-Recipient: a\r\n\r\n".repeat(200_000)
        ),
    ];
    for body in bodies {
        let start: String = body.chars().take(60).collect();
        let began = std::time::Instant::now();
        let normalized = normalize(body);
        assert!(normalized.elements.len() <= 1_000 && normalized.elements.iter().all(Result::is_ok), "{start}");
        assert!(began.elapsed().as_secs() < 20, "{start}: {:?}", began.elapsed());
    }
}

#[test]
fn a_report_about_many_is_as_many_records() {
    let group = |number: u32| format!("Final-Recipient: rfc822; u{number}@x.example\r\nAction: failed\r\n\r\n");
    let groups: String = (0..3).map(group).collect();
    let body = format!(
        "Message-ID: <r@x>\r\nContent-Type: multipart/report; boundary=r\r\n\r\n--r\r\n\
         Content-Type: message/delivery-status\r\n\r\n{groups}--r--\r\n"
    );
    let normalized = normalize(body);
    let records: Vec<_> = normalized.elements.into_iter().map(Result::unwrap).collect();
    assert_eq!(records.len(), 3);
    let windows = Windows { id_ms: 2, content_ms: 1 };
    let hash_key = proto::HashKey::derive(b"k");
    let keys = records.iter().map(|record| dedup::key(record, Policy::Auto, windows, &hash_key).0.to_string());
    assert_eq!(keys.collect::<std::collections::HashSet<_>>().len(), 3);
    assert!(records.iter().all(|record| record.message.kind == Kind::Bounce && record.message.parts == 3));
}
