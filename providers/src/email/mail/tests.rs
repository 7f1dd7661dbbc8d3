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
