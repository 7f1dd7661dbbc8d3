//! What a whole mail becomes.

use bytes::Bytes;
use proto::canonical::Role;
use proto::{Kind, Party};
use serde_json::json;

use super::Mail;
use super::attached::{About, Attached};
use super::envelope::Envelope;
use super::fields::header_block;
use crate::read::draft::Draft;

fn read(text: &str) -> Mail {
    Mail::read(&Bytes::from(text.replace('\n', "\r\n")))
}

#[test]
fn a_mail_that_its_provider_took_apart_is_read_from_its_pairs() {
    let pairs = [("From", "=?utf-8?Q?J=C3=B6?= <jo@X.example>"), ("Message-ID", "<1@x>"), ("To", "a@y.example")];
    let mut mail = Mail::read_headers(&header_block(pairs));
    mail.text = Some("hello".to_owned());
    let about = About { filename: Some("a.pdf".to_owned()), ..About::default() };
    mail.attachments.push(Attached::at(about, Some(7), "https://files.example/1".to_owned()));
    let envelope =
        Envelope { sender: Some(String::new()), recipients: vec!["B@Y.example".into(), "a@Y.example".into()] };
    let mut drafts = mail.drafts(&envelope);
    let draft = drafts.remove(0);
    assert_eq!(draft.sender, Some(Party { address: Some("jo@x.example".into()), name: Some("Jö".into()) }));
    let recipients: Vec<_> = draft.recipients.iter().map(|to| (to.address.as_deref().unwrap(), to.role)).collect();
    assert_eq!(recipients, [("a@y.example", Role::To), ("B@y.example", Role::Bcc)]);
    assert_eq!(draft.metadata["envelope_from"], "");
    assert_eq!(draft.metadata["envelope_to"], json!(["B@Y.example", "a@Y.example"]));
    assert_eq!((draft.attachments.len(), draft.files.len()), (1, 0));
    assert_eq!(draft.attachments[0].location.as_deref(), Some("https://files.example/1"));
}

#[test]
fn a_delivery_status_is_a_record_per_recipient() {
    let mail = read(
        "From: MAILER-DAEMON@mx.example\nSubject: Undelivered\nMessage-ID: <r@mx.example>\n\
         Date: 31 Jul 2026 12:00:00 +0000\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\n\nSorry.\n--b\n\
         Content-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example\n\n\
         Final-Recipient: rfc822; One@X.example\nAction: Failed (really)\nStatus: 5.1.1 (gone)\n\
         Diagnostic-Code: smtp; 550 no\n such user\nLast-Attempt-Date: 31 Jul 2026 11:00:00 +0000\n\n\
         Final-Recipient: rfc822;two@x.example\nAction: delayed\nStatus: 4.4.1\n\n\
         Original-Recipient: rfc822; three@x.example\nAction: delivered\nStatus: 2.0.0\n--b\n\
         Content-Type: message/rfc822\n\nMessage-ID: <original@us.example>\nSubject: Offer\n\nText\n--b--\n",
    );
    let drafts = mail.drafts(&Envelope::default());
    let states: Vec<_> = drafts
        .iter()
        .map(|draft| {
            let status = draft.status.as_ref().unwrap();
            let code = status.error_code.as_deref().unwrap();
            (draft.kind, status.status.as_str(), status.recipient.as_deref().unwrap(), code)
        })
        .collect();
    let expected = [
        (Kind::Bounce, "failed", "One@x.example", "5.1.1"),
        (Kind::Bounce, "delayed", "two@x.example", "4.4.1"),
        (Kind::Status, "delivered", "three@x.example", "2.0.0"),
    ];
    assert_eq!(states, expected);
    for draft in &drafts {
        assert_eq!(draft.reply_to_id.as_deref(), Some("original@us.example"));
        assert_eq!(draft.conversation.as_deref(), Some("original@us.example"));
        assert_eq!(draft.metadata["dsn"]["reporting_mta"], "dns; mx.example");
        assert_eq!(draft.metadata["dsn"]["original_message_id"], "original@us.example");
    }
    let occurred = |draft: &Draft| draft.status.as_ref().unwrap().occurred_at.unwrap().to_string();
    assert_eq!(occurred(&drafts[0]), "2026-07-31T11:00:00.000Z");
    assert_eq!(occurred(&drafts[1]), "2026-07-31T12:00:00.000Z");
    assert_eq!(drafts[0].metadata["dsn"]["diagnostic"], "smtp; 550 no such user");
    assert_eq!((drafts[0].text.as_deref(), drafts[0].files.len()), (Some("Sorry."), 2));
    assert!(drafts[1..].iter().all(|draft| draft.text.is_none() && draft.files.is_empty()));
    assert_ne!(drafts[0].identity, drafts[1].identity);
}

fn attachments(mail: &Mail) -> Vec<(Option<&str>, &str, &str)> {
    mail.attachments
        .iter()
        .map(|one| {
            let of = &one.attachment;
            (of.filename.as_deref(), of.content_type.as_deref().unwrap(), of.disposition.as_deref().unwrap())
        })
        .collect()
}

fn reasons(mail: Mail) -> Vec<(String, String)> {
    mail.notes.into_notes().into_iter().map(|note| (note.field, note.reason)).collect()
}

fn multipart(kind: &str, boundary: &str, parts: &[&str]) -> String {
    let parts = parts.iter().flat_map(|part| ["--", boundary, "\n", part, "\n"]).collect::<String>();
    format!("Content-Type: multipart/{kind}; boundary=\"{boundary}\"\n\n{parts}--{boundary}--\n")
}

#[test]
fn of_alternatives_one_is_the_text_one_the_html_and_the_rest_is_kept() {
    let related = multipart(
        "related",
        "r",
        &[
            "Content-Type: text/html\n\n<img src=\"cid:a@b\">",
            "Content-Type: image/png\nContent-ID: <a@b>\nContent-Transfer-Encoding: base64\n\niVBORw0K",
            "Content-Type: text/html; name=frame.html\n\n<p>frame</p>",
        ],
    );
    let alternative = multipart(
        "alternative",
        "a",
        &[
            "Content-Type: text/plain; charset=utf-8\n\ntext é",
            "Content-Type: text/plain\n\nanother text",
            &related,
            "Content-Type: text/calendar; method=REQUEST\n\nBEGIN:VCALENDAR",
        ],
    );
    let text = multipart(
        "mixed",
        "m",
        &[
            &alternative,
            "Content-Type: application/ms-tnef; name=winmail.dat\nContent-Transfer-Encoding: base64\n\nAAAA",
            "Content-Type: text/plain\n\n-- \nlist footer",
            "Content-Type: text/plain; name=notes.txt\n\nnotes",
        ],
    );
    let mail = read(&text);
    assert_eq!(mail.text.as_deref(), Some("text é\n-- \nlist footer"));
    assert_eq!(mail.html.as_deref(), Some("<img src=\"cid:a@b\">"));
    let expected = [
        (None, "text/plain", "inline"),
        (None, "image/png", "inline"),
        (Some("frame.html"), "text/html", "inline"),
        (None, "text/calendar", "inline"),
        (Some("winmail.dat"), "application/ms-tnef", "attachment"),
        (Some("notes.txt"), "text/plain", "attachment"),
    ];
    assert_eq!(attachments(&mail), expected);
    assert_eq!(mail.attachments[1].attachment.content_id.as_deref(), Some("a@b"));
    let recognized = json!([
        {"attachment": 3, "is": "calendar", "said": {"method": "REQUEST"}},
        {"attachment": 4, "is": "tnef", "said": null},
    ]);
    assert_eq!(mail.metadata["recognized"], recognized);
}

#[test]
fn bytes_that_lie_in_the_mail_are_not_copied() {
    let text =
        multipart("mixed", "m", &["\nhello", "Content-Type: image/x\nContent-Transfer-Encoding: binary\n\n\u{1}\u{2}"]);
    let bytes = Bytes::from(text);
    let mail = Mail::read(&bytes);
    let file = mail.attachments[0].file.as_ref().unwrap();
    assert!(bytes.as_ptr_range().contains(&file.bytes.as_ptr()));
    assert_eq!(&*file.bytes, b"\x01\x02");
    assert_eq!(file.blake3, blake3::hash(b"\x01\x02"));
}

#[test]
fn every_kind_of_line_end_gives_the_same_mail() {
    let text = "Subject: a\n b\nContent-Type: multipart/mixed; boundary=m\n\nx\n--m\n\none\ntwo\n--m\n\
                Content-Type: application/x\nContent-Transfer-Encoding: quoted-printable\n\na=3D=\nb\n--m--\n";
    for end in ["\n", "\r\n", "\r"] {
        let mail = Mail::read(&Bytes::from(text.replace('\n', end)));
        assert_eq!((mail.subject.as_deref(), mail.text.as_deref()), (Some("a b"), Some("one\ntwo")), "{end:?}");
        assert_eq!(&*mail.attachments[0].file.as_ref().unwrap().bytes, b"a=b", "{end:?}");
    }
}

#[test]
fn what_lies_too_deep_or_comes_too_late_is_kept_whole() {
    let mut text = "Content-Type: text/plain\n\ndeepest\n".to_owned();
    for level in 0..60 {
        text = multipart("mixed", &format!("b{level}"), &[&text]);
    }
    let mail = read(&text);
    assert_eq!((mail.text.as_deref(), mail.attachments.len()), (Some("deepest"), 0));
    for level in 60..5_000 {
        text = multipart("mixed", &format!("b{level}"), &["\ntext", &text]);
    }
    let mail = read(&text);
    let kept = mail.attachments.iter().find(|one| one.attachment.content_type.as_deref() == Some("multipart/mixed"));
    assert!(kept.unwrap().file.as_ref().unwrap().bytes.windows(7).any(|bytes| bytes == b"deepest"));
    assert!(reasons(mail).contains(&("attachments".to_owned(), "depth".to_owned())));

    let parts = vec!["Content-Type: application/x\n\nx"; 300];
    assert_eq!(read(&multipart("mixed", "m", &parts)).attachments.len(), 300);
    let parts = vec!["Content-Type: application/x\n\nx"; 100_000];
    let text = multipart("mixed", "m", &parts);
    let mail = read(&text);
    let kept: usize = mail.attachments.iter().map(|one| one.file.as_ref().unwrap().bytes.len()).sum();
    assert!(mail.attachments.len() == 1_000 && kept > 99_000 * "--m\nContent-Type: application/x\n\nx\n".len());
    assert_eq!(reasons(mail), [("attachments".to_owned(), "parts".to_owned())]);
}

#[test]
fn boundaries_that_never_come_lose_nothing() {
    for header in ["multipart/mixed; boundary=never", "multipart/mixed"] {
        let mail = read(&format!("Content-Type: {header}\n\n--other\n\nhello\n--other--\n"));
        assert!(mail.text.as_deref().unwrap().contains("hello"), "{header}");
        assert_eq!(reasons(mail), [("attachments".to_owned(), "boundary".to_owned())]);
    }
    // Each of many parts announces one of its own.
    let part = "Content-Type: multipart/mixed; boundary=never\n\nlost?";
    let mail = read(&multipart("mixed", "m", &vec![part; 900]));
    assert_eq!(mail.text.unwrap().matches("lost?").count(), 900);
}

#[test]
fn a_boundary_with_a_colon_ends_a_header_without_an_end() {
    let mail = read(
        "Content-Type: multipart/mixed; boundary=\"a:b\"\n\n--a:b\nContent-Type: text/plain\n--a:b\n\nx\n--a:b--\n",
    );
    assert_eq!(mail.text.as_deref(), Some("x"));
}

#[test]
fn a_read_receipt_and_a_complaint_are_about_the_mail_they_name() {
    let report = |kind: &str, fields: &str| {
        let part = format!("Content-Type: message/{kind}\n\n{fields}");
        let parts = ["\nSeen.", &part, "Content-Type: text/rfc822-headers\n\nMessage-ID: <o@us.example>\n"];
        let mut drafts = read(&multipart("report", "r", &parts)).drafts(&Envelope::default());
        assert_eq!(drafts.len(), 1);
        drafts.remove(0)
    };
    let seen = report(
        "disposition-notification",
        "Final-Recipient: rfc822;jo@x.example\nOriginal-Message-ID: <first@us.example>\n\
         Disposition: manual-action/MDN-sent-manually; Displayed/error\n",
    );
    let status = seen.status.unwrap();
    assert_eq!((seen.kind, status.status.as_str()), (Kind::ReadReceipt, "displayed"));
    assert_eq!(status.recipient.as_deref(), Some("jo@x.example"));
    assert_eq!(seen.reply_to_id.as_deref(), Some("first@us.example"));
    assert_eq!(seen.metadata["mdn"]["original_message_id"], "first@us.example");
    let spam = report(
        "feedback-report",
        "Feedback-Type: abuse\nOriginal-Rcpt-To: <jo@x.example>\nReported-Uri: a\nReported-Uri: b\n",
    );
    let status = spam.status.unwrap();
    assert_eq!(
        (spam.kind, status.status.as_str(), status.recipient.as_deref()),
        (Kind::Complaint, "abuse", Some("jo@x.example"))
    );
    assert_eq!(spam.reply_to_id.as_deref(), Some("o@us.example"));
    assert_eq!(spam.metadata["arf"]["reported_uri"], json!(["a", "b"]));
}
