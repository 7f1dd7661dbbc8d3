//! What reading a request costs, and verifying it: `cargo bench -p providers`. The goals stand in `docs/performance.md`:
//! 15 µs for an SMS or WhatsApp message, 150 µs for a mail of 20 KiB, 10 µs for an HMAC over 1 KiB.

#![expect(clippy::unwrap_used, reason = "a measurement that meets something else has failed")]

use std::hint::black_box;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use http::Method;
use proto::header::Pair;
use proto::subject::SourceName;
use proto::{Channel, Millis, RawEnvelope, Verified};
use providers::{Adapter, RawRequest, Request, Scheme, SourceSettings};

fn sample(file: &str) -> Bytes {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/payloads").join(file);
    std::fs::read(path).unwrap().into()
}

/// A mail as most are: a text, its HTML, a file; 20 KiB.
fn mail() -> Bytes {
    let paragraph =
        "The lamp of order 123456 flickers =E2=80=93 since yesterday. Is that known?=20\r\nGr=C3=BC=C3=9Fe, Ida\r\n";
    let text = paragraph.repeat(30);
    let html = format!("<html><body>{}</body></html>", "<p>The lamp flickers.</p>\r\n".repeat(120));
    let file = STANDARD.encode(vec![0x5a; 9 * 1024]);
    let lines = file.as_bytes().chunks(76).map(|line| format!("{}\r\n", String::from_utf8_lossy(line)));
    let file: String = lines.collect();
    let received =
        "Received: from a.example by b.example with ESMTPS id 1234; Fri, 31 Jul 2026 12:00:00 +0000\r\n".repeat(5);
    let mail = format!(
        "{received}From: =?utf-8?Q?Ida_H=C3=B6lm?= <ida.holm@example.org>\r\nTo: Support <support@in.example.com>\r\n\
         Subject: =?utf-8?Q?Lamp_=E2=80=93?= =?utf-8?Q?order?=\r\nDate: Fri, 31 Jul 2026 12:00:00 +0200\r\n\
         Message-ID: <1@example.org>\r\nReferences: <2@example.org> <3@example.org>\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\nContent-Type: multipart/alternative; boundary=a\r\n\r\n\
         --a\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n{text}\r\n\
         --a\r\nContent-Type: text/html; charset=utf-8\r\n\r\n{html}\r\n--a--\r\n\
         --m\r\nContent-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\
         Content-Disposition: attachment; filename=a.pdf\r\n\r\n{file}--m--\r\n"
    );
    assert!((19_000..22_000).contains(&mail.len()), "{} bytes", mail.len());
    mail.into()
}

fn raw(adapter: &dyn Adapter, content_type: &str, body: Bytes) -> RawRequest {
    RawRequest {
        envelope: RawEnvelope {
            id: uuid::Uuid::from_u128(7),
            received_at: Millis::from_unix(1_785_564_409_000).unwrap(),
            method: "POST".to_owned(),
            query: None,
            provider: adapter.name().to_owned(),
            verified: Verified::Yes,
            headers: vec![("content-type".to_owned(), content_type.as_bytes().to_vec())],
            body: None,
            replay: None,
            traceparent: None,
        },
        channel: adapter.channel(),
        source: SourceName::parse("test").unwrap(),
        body,
        raw_sequence: 42,
    }
}

fn normalize(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("normalize");
    let cases = [
        ("sms", Channel::Sms, "twilio", "application/x-www-form-urlencoded", sample("twilio-sms-text.form")),
        ("whatsapp", Channel::WhatsApp, "meta", "application/json", sample("wa-text.json")),
        ("mail of 20 KiB", Channel::Email, "mime", "message/rfc822", mail()),
    ];
    for (name, channel, provider, content_type, body) in cases {
        let adapter = providers::find(channel, provider).unwrap();
        let raw = raw(adapter, content_type, body);
        let settings = SourceSettings::default();
        group.bench_function(name, |bencher| bencher.iter(|| adapter.normalize(black_box(&raw), &settings)));
    }
    group.finish();
}

fn verify(criterion: &mut Criterion) {
    let adapter = providers::find(Channel::Webhook, "hmac").unwrap();
    let scheme = Scheme { header: Some("x-signature".to_owned()), ..Scheme::default() };
    let keyring = adapter.keyring(&["a secret of thirty-two characters"], &scheme).unwrap();
    let body = vec![b'a'; 1024];
    let now = Millis::from_unix(1_785_564_409_000).unwrap();
    let request = |headers: &'static [Pair], body| Request {
        method: &Method::POST,
        url: "https://in.example.com/v1/webhook/test",
        query: None,
        headers,
        body,
    };
    let signed = adapter.sign(&request(&[], &body), &keyring, &scheme, now).unwrap();
    let headers: &'static [Pair] = signed.headers.leak();
    let request = request(headers, &body);
    assert_eq!(adapter.authenticate(&request, &keyring, &scheme, now).verified(), Verified::Yes);
    criterion.bench_function("verify HMAC-SHA256 of 1 KiB", |bencher| {
        bencher.iter(|| adapter.authenticate(black_box(&request), &keyring, &scheme, now));
    });
}

criterion_group!(benches, normalize, verify);
criterion_main!(benches);
