//! Every row of the table of answers, except those that need a broken broker (see `outages`).

use std::time::Duration;

use http::Method;
use tests::config::STANDARD;
use tests::eventually::ensure;
use tests::sign::{standard_request, standard_request_at, twilio_request};
use tests::time::unix_seconds;
use tests::{Answer, Pipeline, Request, eventually};

use crate::journey::security_headers;
use crate::shared;

const JSON: &str = r#"{"message": "x"}"#;
/// A JSON text of 4,096 bytes, as gzip has it.
const PACKED: &[u8] =
    b"\x1f\x8b\x08\0\0\0\0\0\x02\x03\xed\xc1\x81\x0c\0\0\0\x02\x30\x97\x08\xf2\xa7\xcb\xa3\xfd\x4f\x01\0\0\x80\
    \x73\x19\x0c\x3d\x51\x92\0\x10\0\0";

/// A refusal: what is asked, the code, and what else the answer has to say.
struct Refusal {
    what: &'static str,
    request: Request,
    status: u16,
}

fn refusal(what: &'static str, status: u16, request: Request) -> Refusal {
    Refusal { what, request, status }
}

fn refusals() -> Vec<Refusal> {
    let any = "/v1/webhook/any-json";
    let signed = |id: &str, at: i64| standard_request_at(STANDARD, "signed", id, at, JSON);
    let altered = |mut request: Request| {
        request.body = r#"{"message": "y"}"#.into();
        request
    };
    let large = format!(r#"{{"message": "{}"}}"#, "x".repeat(2_000));
    let multipart = "multipart/form-data; boundary=b";
    vec![
        // Bad requests: nothing that could become a message, and a sender that is told can mend it.
        refusal("nothing at all", 400, Request::json(any, "")),
        refusal("no JSON in a form", 400, Request::json("/v1/form/form-json", "{]")),
        refusal("a form with files and no boundary", 400, {
            Request::post("/v1/form/form-multipart", "x").header("Content-Type", "multipart/form-data")
        }),
        refusal("a form with files that breaks off", 400, {
            let body = "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx";
            Request::post("/v1/form/form-multipart", body).header("Content-Type", multipart)
        }),
        // Unknown places.
        refusal("an unknown source", 404, Request::json("/v1/webhook/nobody", JSON)),
        refusal("a source of another channel", 404, Request::json("/v1/form/any-json", JSON)),
        refusal("an unknown channel", 404, Request::json("/v1/pigeon/any-json", JSON)),
        refusal("another version", 404, Request::json("/v2/webhook/any-json", JSON)),
        refusal("the root", 404, Request::get("/")),
        refusal("more behind the source", 404, Request::json("/v1/webhook/any-json/x", JSON)),
        refusal("an admin path", 404, Request::get("/metrics")),
        // Methods.
        refusal("a GET where the adapter takes none", 405, Request::get(any)),
        refusal("a PUT", 405, Request::new(Method::PUT, any)),
        refusal("a DELETE", 405, Request::new(Method::DELETE, any)),
        // Types.
        refusal("a type that a form cannot be", 415, {
            Request::post("/v1/form/form-json", "<a/>").header("Content-Type", "application/xml")
        }),
        // Signatures.
        refusal("no signature", 401, Request::json("/v1/webhook/signed", JSON)),
        refusal("a signature with another secret", 401, {
            standard_request("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "signed", "m", JSON)
        }),
        refusal("a signature over another body", 401, altered(signed("m", unix_seconds()))),
        refusal("a signature from an hour ago", 401, signed("m", unix_seconds() - 3_600)),
        refusal("a signature from an hour ahead", 401, signed("m", unix_seconds() + 3_600)),
        refusal("a wrong signature by Twilio, enforced", 401, {
            twilio_request("wrong", "enforced", &[("MessageSid", "SM1"), ("Body", "x")])
        }),
        // Sizes.
        refusal("too large by its Content-Length", 413, Request::json("/v1/webhook/small", large.clone())),
        refusal("too large in pieces", 413, Request::json("/v1/webhook/small", large).in_pieces(100)),
        refusal("too large once unpacked", 413, {
            Request::post("/v1/webhook/small", PACKED).header("Content-Encoding", "gzip")
        }),
        // Time.
        refusal("a body that does not come", 408, Request::json("/v1/webhook/small", JSON).stuck()),
    ]
}

#[tokio::test]
async fn each_refusal_has_its_code_and_says_why() {
    let pipeline = shared::pipeline().await;
    let mut wrong = Vec::new();
    for Refusal { what, request, status } in refusals() {
        let answer = pipeline.post(&request).await;
        if answer.status == status {
            answer.problem(status);
            security_headers(&answer);
            let allow = answer.header("Allow");
            assert_eq!(allow.is_some_and(|allow| allow.contains("POST")), status == 405, "Allow: {answer}");
        } else {
            wrong.push(format!("{what}: {status} was expected, not {}\n{answer}", answer.status));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[tokio::test]
async fn a_handshake_hears_its_challenge_and_nothing_is_stored() {
    let pipeline = shared::pipeline().await;
    let path = "/v1/whatsapp/chat?hub.mode=subscribe&hub.challenge=1%3C2&hub.verify_token=";
    let answer = pipeline.post(&Request::get(format!("{path}t0ken"))).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "1<2"), "{answer}");
    assert!(answer.header("Content-Type").is_some_and(|kind| kind.starts_with("text/plain")), "{answer}");
    assert_eq!(answer.header("Penstock-Stored"), None, "{answer}");
    security_headers(&answer);
    pipeline.post(&Request::get(format!("{path}wrong"))).await.problem(403);
    pipeline.post(&Request::get("/v1/whatsapp/chat")).await.problem(403);
    pipeline.post(&Request::get(format!("{path}t0ken").replace("1%3C2", ""))).await.problem(400);
    assert_eq!(pipeline.broker.count("RAW", "raw.whatsapp.chat").await, 0);
}

#[tokio::test]
async fn a_body_that_fits_exactly_is_taken_also_in_pieces() {
    let pipeline = shared::pipeline().await;
    let body = format!(r#"{{"message": "{}"}}"#, "x".repeat(1024 - 15));
    assert_eq!(body.len(), 1024);
    for request in
        [Request::json("/v1/webhook/small", body.clone()), Request::json("/v1/webhook/small", body).in_pieces(7)]
    {
        pipeline.post(&request).await.accepted();
    }
}

#[tokio::test]
async fn a_large_upload_is_refused_before_it_is_read() {
    let pipeline = shared::pipeline().await;
    // The length alone is enough: the body never comes.
    let answer = pipeline.post(&Request::json("/v1/webhook/small", "x".repeat(100_000)).stuck()).await;
    answer.problem(413);
    assert!(answer.took.as_millis() < 1_500, "before the limit for slow bodies: {answer}");
}

#[tokio::test]
async fn a_refused_request_is_stored_nowhere() {
    let pipeline = shared::pipeline().await;
    for _ in 0..3 {
        pipeline
            .post(&standard_request("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "wrong", "m", JSON))
            .await
            .problem(401);
    }
    let last: Answer = pipeline.post(&standard_request(STANDARD, "wrong", "m", JSON)).await;
    pipeline.row("messages", last.accepted()).await;
    nothing_but(&pipeline, 1).await;
}

/// When in doubt, keep: a webhook may hold anything, and its sender may not try again after a 400. What calls itself
/// JSON and is not can be no row; then it is a dead letter that says so.
#[tokio::test]
async fn a_webhook_that_is_no_json_is_refused_or_has_an_ending_that_says_so() {
    let pipeline = shared::pipeline().await;
    for body in [&b"{\"message\": "[..], b"\"\xff\"", b"plain text", b"\x00\x01\xff"] {
        for kind in ["application/json", "text/plain", "application/octet-stream"] {
            let request = Request::post("/v1/webhook/bytes", body).header("Content-Type", kind);
            let answer = pipeline.post(&request).await;
            if answer.status == 400 {
                answer.problem(400);
                continue;
            }
            let request = answer.accepted();
            let dead = eventually(Duration::from_mins(1), "it has an ending", async || {
                let dead = pipeline.database.of_request("dead_letters", request).await;
                let rows = pipeline.database.of_request("messages", request).await;
                ensure(rows.len() + dead.len() == 1, || "no ending".to_owned()).map(|()| dead)
            })
            .await;
            let says_so =
                dead.iter().all(|letter| ["not_json", "not_utf8"].contains(&letter["reason"].as_str().unwrap()));
            assert!(says_so, "{kind} {:?}: {dead:#?}", String::from_utf8_lossy(body));
            assert!(dead.is_empty() || kind == "application/json", "{kind}: {dead:#?}");
        }
    }
}

async fn nothing_but(pipeline: &Pipeline, rows: usize) {
    assert_eq!(pipeline.broker.count("RAW", "raw.webhook.wrong").await, rows as u64);
    assert_eq!(pipeline.broker.count("HELD", "held.webhook.wrong").await, 0);
    assert_eq!(pipeline.database.rows("messages", "wrong").await.len(), rows);
}

#[tokio::test]
async fn what_a_stranger_sends_is_not_shown_back() {
    let pipeline = shared::pipeline().await;
    let canary = "canary-7f3a<script>";
    for request in [
        Request::json("/v1/webhook/signed", format!(r#"{{"message": "{canary}"}}"#))
            .header("webhook-id", "canary-7f3a"),
        Request::json(format!("/v1/webhook/canary-7f3a?{}", "x=canary-7f3a"), "{}"),
        Request::json("/v1/webhook/any-json", format!("{{{canary}")),
    ] {
        let answer = pipeline.post(&request).await;
        assert!(!answer.text().contains("canary-7f3a"), "{answer}");
    }
}
