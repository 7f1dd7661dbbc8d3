//! Mails that are meant to become large, deep or many, by the adapter that takes them as they are, and some of them in
//! every other way that mails come.

use proto::{Channel, Verified};
use providers::{Record, SourceSettings};

use crate::invariants;
use crate::support::Owned;
use crate::{corpus, support::MAX_BODY};

/// Reads a mail, and holds what that may cost.
fn read(mail: impl Into<Vec<u8>>) -> Vec<Record> {
    let adapter = providers::find(Channel::Email, "mime").unwrap();
    let request = Owned::post("message/rfc822", mail.into());
    invariants::hold(adapter, &request);
    let settings = SourceSettings { max_body: MAX_BODY, ..SourceSettings::default() };
    let elements = adapter.normalize(&request.as_raw(adapter, Verified::Yes), &settings).elements;
    elements.into_iter().map(|element| *element.unwrap()).collect()
}

fn one(mail: impl Into<Vec<u8>>) -> Record {
    let [record] = <[Record; 1]>::try_from(read(mail)).unwrap();
    record
}

/// The reasons of what could not be kept as it came.
fn reasons(record: &Record) -> Vec<&str> {
    record.message.truncations.iter().map(|note| note.reason.as_str()).collect()
}

/// Bytes of all files.
fn kept(record: &Record) -> usize {
    record.files.iter().map(|file| file.bytes.len()).sum()
}

#[test]
fn parts_within_parts_ten_thousand_deep_are_kept_whole_and_noted() {
    let levels = 0..10_000;
    let open = |level| format!("Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n--b{level}\r\n");
    let opened: String = levels.clone().map(open).collect();
    let closed = levels.rev().map(|level| format!("--b{level}--\r\n")).collect::<Vec<_>>().concat();
    let record = one(format!("Subject: s\r\n{opened}Content-Type: text/plain\r\n\r\ndeepest\r\n{closed}"));
    assert!(reasons(&record).contains(&"depth"), "{:?}", reasons(&record));
    assert!(record.files.iter().any(|file| file.bytes.windows(7).any(|bytes| bytes == b"deepest")));
}

#[test]
fn messages_within_messages_ten_thousand_deep_are_one_attachment() {
    let record = one("Content-Type: message/rfc822\r\n\r\n".repeat(10_000) + "Subject: deepest\r\n\r\nx\r\n");
    assert_eq!(record.message.attachments.len(), 1);
}

#[test]
fn a_hundred_thousand_parts_are_kept_and_the_rest_is_one() {
    for part in [
        "\r\nx\r\n",
        "Content-Type: text/html\r\n\r\n<p>\r\n",
        "Content-Disposition: attachment; filename=a\r\n\r\nx\r\n",
    ] {
        let parts = format!("--b\r\n{part}").repeat(100_000);
        let record = one(format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{parts}--b--\r\n"));
        assert!(reasons(&record).contains(&"parts"), "{:?}", reasons(&record));
        assert!(kept(&record) > 99_000 * part.len());
        assert!(record.message.attachments.len() <= 1_000);
    }
}

#[test]
fn one_header_of_ten_megabytes_is_cut_and_noted() {
    let long = "x".repeat(10 * 1024 * 1024);
    for name in ["Subject", "From", "References", "X-Long", "Date", "Content-Type", "Message-ID"] {
        let record = one(format!("{name}: {long}\r\nSubject: s\r\n\r\ntext\r\n"));
        // What has a type that is none is a file.
        let text = if name == "Content-Type" { None } else { Some("text") };
        assert_eq!(record.message.text.as_deref(), text, "{name}");
        assert_eq!(record.message.attachments.len(), usize::from(text.is_none()), "{name}");
        assert!(reasons(&record).contains(&"length"), "{name}: {:?}", reasons(&record));
    }
}

#[test]
fn a_million_headers_are_cut_and_noted_and_the_text_is_there() {
    let record = one("a: b\r\n".repeat(1_000_000) + "Subject: late\r\n\r\ntext\r\n");
    assert!(reasons(&record).contains(&"length"), "{:?}", reasons(&record));
    assert_eq!(record.message.text.as_deref(), Some("text"));
}

#[test]
fn addresses_ids_words_and_comments_without_end_are_read_as_far_as_is_taken() {
    let headers = [
        ("To", "a@b.example, ".repeat(100_000)),
        ("From", "(".repeat(1_000_000)),
        ("To", "g: ".repeat(200_000)),
        ("Cc", "\"".repeat(1_000_001)),
        ("References", "<a@b> ".repeat(100_000)),
        ("Subject", "=?utf-8?q?a?= ".repeat(300_000)),
        ("Subject", "=?utf-8?b?".repeat(400_000)),
        ("Date", "(".repeat(1_000_000)),
        ("List-ID", "<".repeat(1_000_000)),
        ("Received", "from x by y; ".repeat(300_000)),
    ];
    for (name, value) in headers {
        let record = one(format!("{name}: {value}\r\n\r\ntext\r\n"));
        assert!(reasons(&record).contains(&"length"), "{name}: {:?}", reasons(&record));
        assert_eq!(record.message.text.as_deref(), Some("text"), "{name}");
    }
}

#[test]
fn parameters_without_end_hide_no_part() {
    let pieces = (0..50_000).map(|piece| format!("; filename*{piece}*=utf-8''%41")).collect::<Vec<_>>().concat();
    let same = "; boundary=c".repeat(300_000);
    let parameters = [
        pieces,
        same,
        "; ".repeat(2_000_000),
        ";=".repeat(2_000_000),
        format!("; filename=\"{}", "\\".repeat(4_000_000)),
    ];
    for more in parameters {
        let part =
            format!("--b\r\nContent-Type: application/x{more}\r\nContent-Disposition: attachment{more}\r\n\r\nx\r\n");
        let record = one(format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{part}--b--\r\n"));
        assert_eq!((record.message.attachments.len(), kept(&record)), (1, 1), "{more:.40}");
    }
}

#[test]
fn delimiters_that_are_none_are_looked_at_once() {
    let dashes = "-".repeat(60);
    let level = |level| {
        let boundary = format!("{dashes}{level}");
        format!("Content-Type: multipart/mixed; boundary={boundary}\r\n\r\n--{boundary}\r\n")
    };
    let levels = (0..100).map(level).collect::<Vec<_>>().concat();
    let near = format!("--{dashes}x\r\n").repeat(40_000);
    let record = one(format!("{levels}\r\n{near}"));
    assert!(!record.message.truncations.is_empty() || record.message.text.is_some());
}

#[test]
fn encodings_that_stand_for_nothing_or_for_much_are_bounded() {
    for (encoding, body) in [
        ("quoted-printable", "=".repeat(300_000)),
        ("quoted-printable", "=\r\n".repeat(100_000)),
        ("base64", "=".repeat(300_000)),
        ("base64", "A\r\n".repeat(100_000)),
        ("x-uuencode", "begin 644 a\r\n".repeat(30_000)),
        ("8bit", "begin 644 a\r\n".repeat(30_000)),
    ] {
        one(format!("Content-Type: text/plain\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n{body}"));
    }
    for charset in ["utf-16", "utf-7", "iso-2022-jp", "hz-gb-2312", "x-user-defined", "replacement", "utf-32"] {
        let body = "\x1b$B+A~{\0\u{80}".repeat(20_000);
        one(format!("Content-Type: text/plain; charset={charset}\r\n\r\n{body}"));
    }
    for html in ["<", "<a", "<a href=\"", "&", "&#0;", "<p>", "<style>", "<!--", "</", "<table><tr><td>"] {
        one(format!("Content-Type: text/html\r\n\r\n{}", html.repeat(30_000)));
    }
}

#[test]
fn a_report_on_a_hundred_thousand_recipients_is_cut_and_noted() {
    let recipients = "Final-Recipient: rfc822; a@x.example\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n".repeat(100_000);
    let records = read(format!(
        "From: MAILER-DAEMON@x.example\r\nMessage-ID: <1@x>\r\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\n\
         Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; x\r\n\r\n{recipients}--b--\r\n"
    ));
    assert!(records.len() <= 1_001, "{}", records.len());
    assert!(!records[0].message.truncations.is_empty());
}

#[test]
fn bytes_that_are_no_text_are_read_or_noted_wherever_they_stand_in_a_mail() {
    const BAD: &[u8] = b"\xff\xfe\xc3\x28\xed\xa0\x80\x00";
    let mail = b"From: \"@\" <@@x.example>\r\nTo: @\r\nSubject: @\r\nMessage-ID: <@>\r\nReferences: <@>\r\nX-A: @\r\nDate: @\r\n\
        Content-Type: multipart/mixed; boundary=b; x=@\r\n\r\n@\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n@\r\n\
        --b\r\nContent-Type: text/html; charset=@\r\n\r\n@\r\n--b\r\nContent-Type: @/@; name=\"@\"\r\nContent-ID: <@>\r\n\
        Content-Disposition: attachment; filename*=utf-8''@\r\nContent-Transfer-Encoding: @\r\n\r\n@\r\n--b--\r\n";
    let marks: Vec<usize> = memchr::memchr_iter(b'@', mail).collect();
    for place in &marks {
        let (before, after) = mail.split_at(*place);
        let mail = [before, BAD, &after[1..]].concat();
        let record = one(mail.clone());
        assert!(record.message.text.is_some() && record.message.attachments.len() == 1, "at {place}");
        for request in corpus::carriers(&mail) {
            for adapter in corpus::mail_adapters() {
                invariants::hold(adapter, &request);
            }
        }
    }
}

#[test]
fn a_file_of_forty_megabytes_from_postmark_is_there_once() {
    let adapter = providers::find(Channel::Email, "postmark").unwrap();
    let content = "\\/w=".replace("w=", "w\\/A").repeat(5_000_000);
    let body = format!(r#"{{"FromFull":{{}},"TextBody":"t","Attachments":[{{"Name":"a","Content":"{content}"}}]}}"#);
    let size = body.len() as u64;
    let request = Owned::post("application/json", body);
    let raw = request.as_raw(adapter, Verified::Yes);
    let mut elements = Vec::new();
    let info = allocation_counter::measure(|| {
        elements = adapter.normalize(&raw, &SourceSettings::default()).elements;
    });
    assert_eq!(elements[0].as_ref().unwrap().files[0].bytes.len(), 15_000_000);
    assert!(info.bytes_max < size, "{} bytes held for a request of {size}", info.bytes_max);
}
