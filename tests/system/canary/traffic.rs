//! Requests full of marks: those that are well, those that are not, and what nobody should have published.
//!
//! Each comes from an address of its own, all of one network that is looked for.

use std::sync::atomic::{AtomicU8, Ordering};

use http::Method;
use proto::envelope::Pairs;
use proto::{Millis, RawEnvelope, Verified, id};
use tests::sign::{github_request, twilio_request};
use tests::sns::{HOST, envelope, request};
use tests::{Pipeline, Request};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;

use super::configuration::secret;
use super::marks::{NETWORK, NETWORK_6, PEER, PERSON, PHONE, SECRET};

/// What PostgreSQL is told to refuse.
pub(crate) const REFUSED: &str = "REFUSEDROW";

/// An address that nobody has had.
pub(crate) fn address() -> String {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    format!("{NETWORK}{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// With marks in the headers that everybody sends.
pub(crate) fn marked(request: Request) -> Request {
    let mut request = request.from(&address());
    for (name, value) in headers() {
        request = request.header(name, value);
    }
    request
}

/// What a browser or a proxy adds to a request.
pub(crate) fn headers() -> [(&'static str, String); 5] {
    [
        ("User-Agent", format!("{PERSON}/1.0")),
        ("Cookie", format!("session={SECRET}cookie")),
        ("Referer", format!("https://{PERSON}.example.org/?{PERSON}")),
        ("X-Customer", PERSON.to_owned()),
        ("Proxy-Authorization", format!("Basic {SECRET}")),
    ]
}

/// What is accepted.
pub(crate) fn accepted() -> Vec<Request> {
    let text = format!(
        r#"{{"id": "{PERSON}", "message": "{PERSON} {REFUSED}", "from": "+491{PHONE}", "subject": "{PERSON}"}}"#
    );
    let broken = format!(r#"{{"entry": "{PERSON}"#);
    let form = format!(
        "--b\r\nContent-Disposition: form-data; name=\"{PERSON}\"\r\n\r\n{PERSON}\r\n\
         --b\r\nContent-Disposition: form-data; name=\"message\"\r\n\r\n{PERSON} \0\r\n\
         --b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{PERSON}.txt\"\r\n\
         Content-Type: text/{PERSON}\r\n\r\n{PERSON}\r\n--b--\r\n"
    );
    let bearer =
        |request: Request, adapter: &str| request.header("Authorization", format!("Bearer {}", secret(adapter)));
    let mut meta = github_request(&secret("whatsapp/meta"), "", "", &broken);
    meta.path = "/v1/whatsapp/whatsapp-meta".into();
    let mut requests = vec![
        Request::json("/v1/webhook/webhook-none", text),
        Request::json("/v1/webhook/webhook-none", format!("{{{PERSON}")),
        Request::json(format!("/v1/webhook/webhook-none?{PERSON}={PERSON}&key={SECRET}key"), format!("[\"{PERSON}\""))
            .header("Accept-Language", PERSON),
        Request::post("/v1/webhook/webhook-none", [PERSON.as_bytes(), b"\xff\xfe\0"].concat())
            .header("Content-Type", format!("text/plain; charset={PERSON}")),
        Request::post(format!("/v1/form/open?key={SECRET}key&{PERSON}"), form)
            .header("Content-Type", "multipart/form-data; boundary=b"),
        Request::post(format!("/v1/form/open?key={SECRET}key&{PERSON}"), format!("--b\r\n{PERSON}"))
            .header("Content-Type", "multipart/form-data; boundary=b"),
        // By its signature it is Meta's, and what it says is nothing.
        meta,
        bearer(Request::json("/v1/webhook/webhook-cloudevents", &*broken), "webhook/cloudevents")
            .header("ce-id", PERSON)
            .header("ce-time", PERSON),
        bearer(
            Request::post(
                "/v1/email/email-mime",
                format!("From: {PERSON} <{PERSON}@\r\nDate: {PERSON}\r\n\r\n{PERSON}"),
            ),
            "email/mime",
        )
        .header("Content-Type", "message/rfc822"),
    ];
    for fields in [
        vec![("MessageSid", PERSON), ("From", PERSON), ("Body", PERSON), ("NumMedia", PERSON)],
        vec![("From", PERSON)],
        vec![("MessageSid", "SM1"), ("MessageStatus", PERSON), ("ErrorCode", PERSON), ("To", PERSON)],
    ] {
        requests.push(twilio_request(&secret("sms/twilio"), "sms-twilio", &fields));
    }
    requests
}

/// What is refused, held, or answered without being stored.
pub(crate) fn refused() -> Vec<Request> {
    let json = |path: &str| Request::json(path, format!(r#"{{"message": "{PERSON}"}}"#));
    let guess = format!("Bearer {SECRET}guess");
    let mail = Request::post("/v1/email/enforced", PERSON).header("Content-Type", "message/rfc822");
    let handshake = |token: &str| {
        Request::get(format!("/v1/whatsapp/whatsapp-meta?hub.mode=subscribe&hub.verify_token={token}&hub.challenge=1"))
    };
    let certificate = format!("https://{HOST}/SimpleNotificationService-{PERSON}.pem");
    vec![
        mail.clone().header("Authorization", &guess),
        mail,
        json("/v1/webhook/webhook-bearer").header("Authorization", &guess),
        json("/v1/webhook/webhook-basic").header("Authorization", format!("Basic {SECRET}guess")),
        json(&format!("/v1/form/form-jotform?key={SECRET}guess")),
        json(&format!("/v1/email/email-postmark?key={SECRET}guess")),
        github_request(&format!("{SECRET}guess"), "webhook-github", PERSON, PERSON),
        twilio_request(&format!("{SECRET}guess"), "sms-twilio", &[("Body", PERSON), ("MessageSid", PERSON)]),
        json("/v1/sms/sms-vonage-messages").header("Authorization", &guess),
        json("/v1/webhook/webhook-standard").header("webhook-id", PERSON).header("webhook-signature", SECRET),
        request("fetched", envelope("Notification", PERSON, &certificate)),
        request("fetched", envelope("Notification", PERSON, &format!("https://{PERSON}.example.org/x.pem"))),
        handshake(&format!("{SECRET}guess")),
        handshake(&format!("{SECRET}token")),
        json(&format!("/{PERSON}/{SECRET}?key={SECRET}guess")),
        json(&format!("/v1/sms/{}", PERSON.to_lowercase())),
        json(&format!("/v1/{PERSON}/webhook-none")),
        Request::new(Method::from_bytes(PERSON.as_bytes()).unwrap(), "/v1/webhook/webhook-none"),
        Request::post("/v1/form/open", PERSON).header("Content-Type", format!("application/{PERSON}")),
        Request::post("/v1/webhook/webhook-none", PERSON.repeat(200_000)),
        Request::post("/v1/webhook/webhook-none", PERSON.repeat(200_000)).in_pieces(10_000),
        Request::post("/v1/webhook/webhook-none", PERSON).header("X-Long", PERSON.repeat(2_000)),
        json(&format!("/v1/webhook/webhook-none?{}", PERSON.repeat(1_000))),
        json("/v1/webhook/webhook-none").header("traceparent", PERSON),
        json("/v1/webhook/webhook-none").header("Content-Encoding", PERSON),
        json("/v1/webhook/webhook-none").header("Content-Encoding", "gzip"),
        json("/v1/webhook/nobody").from(&format!("{NETWORK_6}1::9")),
    ]
}

/// What is no HTTP, over a connection from an address that a log could name.
pub(crate) async fn garbage(pipeline: &Pipeline) -> Vec<String> {
    let gateway = pipeline.gateways()[0].trim_start_matches("http://").parse().unwrap();
    let mut answers = Vec::new();
    for text in [
        format!("{PERSON}\r\n\r\n"),
        format!("POST /{PERSON} HTTP/1.1\r\nHost: {PERSON}\r\n{PERSON}\r\n\r\n"),
        format!("POST /v1/webhook/webhook-none HTTP/1.1\r\nHost: x\r\nContent-Length: {PERSON}\r\n\r\n"),
        format!("POST /v1/webhook/webhook-none HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{PERSON}"),
        format!("POST /v1/webhook/webhook-none HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{PERSON}\r\n"),
        format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{PERSON}"),
    ] {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(format!("{PEER}:0").parse().unwrap()).unwrap();
        let mut stream = socket.connect(gateway).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        // Some are cut off without a word.
        stream.read_to_end(&mut answer).await.ok();
        answers.push(String::from_utf8_lossy(&answer).into_owned());
    }
    answers
}

/// What only somebody with the broker's password can do: messages that are ours but for one header, and strays.
pub(crate) async fn strays(pipeline: &Pipeline) {
    let received_at = Millis::from_unix(tests::time::unix_millis()).unwrap();
    let envelope = RawEnvelope {
        id: id::request_id(received_at, [9; 10]),
        received_at,
        method: "POST".into(),
        query: Some(PERSON.into()),
        provider: "none".into(),
        verified: Verified::None,
        headers: vec![("x-customer".into(), PERSON.into())],
        body: None,
        replay: None,
        traceparent: None,
    };
    let pairs = envelope.to_pairs();
    for spoilt in 0..pairs.len() {
        let mut pairs: Pairs = pairs.clone();
        pairs[spoilt].1 = PERSON.into();
        pipeline.broker.publish("raw.webhook.webhook-none", &pairs, PERSON).await;
        pipeline.broker.publish("canonical.webhook.webhook-none", &pairs, PERSON).await;
        pipeline.broker.publish("duplicate.webhook.webhook-none", &pairs, PERSON).await;
    }
    for subject in ["raw.webhook.strays", "canonical.webhook.strays", "duplicate.webhook.strays"] {
        pipeline.broker.publish(subject, &vec![("Penstock-Id", PERSON.to_owned())], PERSON).await;
    }
}
