//! The table of answers as data: a row for each thing that can become of a request.

use std::collections::BTreeSet;

use http_body_util::BodyExt as _;
use serde_json::Value;

use super::*;

mod openapi;

const ID_TEXT: &str = "01a206e5-20a0-7000-8000-000000000001";
const TWIML: Success = Success::Fixed { content_type: "text/xml", body: "<Response/>" };

fn id() -> Uuid {
    ID_TEXT.parse().unwrap()
}

fn stored(repeat_of: Option<u128>, success: Success) -> Answer {
    Answer::Stored { sequence: 17, repeat_of: repeat_of.map(Uuid::from_u128), success }
}

fn over(status: StatusCode) -> Answer {
    let over = Over { policy: "webhook", quota: 200, window_s: 2, wait: Duration::from_millis(1500) };
    Answer::Refused(Refusal::OverLimit(over, status))
}

fn consent() -> Answer {
    let headers = vec![("webhook-allowed-origin".to_owned(), b"sender.example.com".to_vec())];
    Answer::Handshake { headers, body: String::new() }
}

async fn body(answer: &Answer) -> String {
    let body = answer.respond(id(), 7).into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

fn header(answer: &Answer, name: &str) -> Option<String> {
    answer.respond(id(), 7).headers().get(name).map(|value| value.to_str().unwrap().to_owned())
}

/// The answer, its status, its media type, its body (of a problem: a part of the detail), one more header.
type Row = (Answer, u16, &'static str, String, Option<(&'static str, &'static str)>);

fn table() -> Vec<Row> {
    let first = Uuid::from_u128(5);
    let accepted = format!(r#"{{"id":"{ID_TEXT}","status":"accepted"}}"#);
    let duplicate = format!(r#"{{"id":"{ID_TEXT}","status":"duplicate","repeat_of":"{first}"}}"#);
    let held = format!(r#"{{"id":"{ID_TEXT}","status":"held"}}"#);
    let problem = |refusal| Answer::Refused(refusal);
    let detail = str::to_owned;
    vec![
        (stored(None, Success::Json), 200, JSON, accepted, Some(("penstock-stored", "RAW/17"))),
        (stored(None, TWIML), 200, "text/xml", detail("<Response/>"), Some(("penstock-stored", "RAW/17"))),
        (stored(Some(5), Success::Json), 200, JSON, duplicate.clone(), Some(("penstock-stored", "RAW/17"))),
        (stored(Some(5), TWIML), 200, "text/xml", detail("<Response/>"), Some(("penstock-stored", "RAW/17"))),
        (Answer::Held { sequence: 3 }, 200, JSON, held, Some(("penstock-stored", "HELD/3"))),
        (Answer::Conflict { repeat_of: first }, 409, JSON, duplicate, None),
        (
            Answer::Handshake { headers: Vec::new(), body: "<script>".into() },
            200,
            TEXT,
            detail("<script>"),
            Some(("x-content-type-options", "nosniff")),
        ),
        (problem(Refusal::Handshake(Flaw::Mismatch)), 403, PROBLEM, detail("verify_token"), None),
        (problem(Refusal::Bad(BadRequest::NoChallenge)), 400, PROBLEM, detail("challenge"), None),
        (consent(), 200, TEXT, String::new(), Some(("webhook-allowed-origin", "sender.example.com"))),
        (problem(Refusal::Ambiguous), 400, PROBLEM, detail("Transfer-Encoding"), None),
        (problem(Refusal::NotFound), 404, PROBLEM, detail("no such source"), None),
        (
            problem(Refusal::Method(&[Method::POST, Method::GET])),
            405,
            PROBLEM,
            detail("Allow"),
            Some(("allow", "POST, GET")),
        ),
        (problem(Refusal::MediaType), 415, PROBLEM, detail("Content-Type"), None),
        (problem(Refusal::TargetTooLong), 414, PROBLEM, detail("too long"), None),
        (problem(Refusal::HeadersTooLarge), 431, PROBLEM, detail("headers"), None),
        (problem(Refusal::TooLarge), 413, PROBLEM, detail("larger"), None),
        (problem(Refusal::TooSlow), 408, PROBLEM, detail("in time"), None),
        (problem(Refusal::Broken), 400, PROBLEM, detail("ended"), None),
        (problem(Refusal::Bad(BadRequest::NotJson)), 400, PROBLEM, detail("JSON"), None),
        (problem(Refusal::Bad(BadRequest::TooLarge)), 413, PROBLEM, detail("unpacked"), None),
        (problem(Refusal::Bad(BadRequest::EventFormat)), 415, PROBLEM, detail("JSON"), None),
        (problem(Refusal::Bad(BadRequest::Encoding)), 415, PROBLEM, detail("gzip"), None),
        (
            problem(Refusal::Unauthorized(Flaw::Missing)),
            401,
            PROBLEM,
            detail("missing"),
            Some(("www-authenticate", "Signature realm=\"penstock\"")),
        ),
        (
            problem(Refusal::Unauthorized(Flaw::Unasked)),
            401,
            PROBLEM,
            detail("missing"),
            Some(("www-authenticate", "Basic realm=\"penstock\", charset=\"UTF-8\"")),
        ),
        (problem(Refusal::CannotVerify), 503, PROBLEM, detail("certificate"), Some(("retry-after", "3"))),
        (problem(Refusal::CannotConfirm), 503, PROBLEM, detail("confirmed"), Some(("retry-after", "3"))),
        (over(StatusCode::TOO_MANY_REQUESTS), 429, PROBLEM, detail("Retry-After"), Some(("retry-after", "3"))),
        (
            over(StatusCode::SERVICE_UNAVAILABLE),
            503,
            PROBLEM,
            detail("Retry-After"),
            Some(("ratelimit", "\"webhook\";r=0;t=2")),
        ),
        (problem(Refusal::Overloaded), 503, PROBLEM, detail("Retry-After"), Some(("retry-after", "3"))),
        (problem(Refusal::CannotStore), 503, PROBLEM, detail("Retry-After"), Some(("retry-after", "3"))),
    ]
}

#[tokio::test]
async fn every_outcome_has_its_status_and_body() {
    for (answer, status, media, expected, extra) in table() {
        let response = answer.respond(id(), 7);
        assert_eq!(response.status().as_u16(), status, "{answer:?}");
        assert_eq!(header(&answer, "content-type").unwrap(), media, "{answer:?}");
        let body = body(&answer).await;
        if media == PROBLEM {
            let problem: Value = serde_json::from_str(&body).unwrap();
            assert_eq!((problem["status"].as_u64(), problem["id"].as_str()), (Some(status.into()), Some(ID_TEXT)));
            assert_eq!(problem["type"], "about:blank");
            assert!(!problem["title"].as_str().unwrap().is_empty(), "{answer:?}");
            assert!(problem["detail"].as_str().unwrap().contains(&expected), "{answer:?}: {problem}");
        } else {
            assert_eq!(body, expected, "{answer:?}");
        }
        if let Some((name, value)) = extra {
            assert_eq!(header(&answer, name).as_deref(), Some(value), "{answer:?}");
        }
    }
}

#[test]
fn every_answer_has_its_id_and_the_security_headers() {
    for (answer, ..) in table() {
        assert_eq!(header(&answer, "penstock-id").as_deref(), Some(ID_TEXT));
        for (name, value) in ALWAYS {
            assert_eq!(header(&answer, name.as_str()).as_deref(), Some(value), "{answer:?}");
        }
    }
}

#[test]
fn only_what_is_stored_says_so_and_of_what_is_delivered_only_it_is_a_2xx() {
    for (answer, status, ..) in table() {
        // Who only asks carries no message.
        let asks = matches!(answer, Answer::Handshake { .. });
        assert_eq!(header(&answer, "penstock-stored").is_some(), status == 200 && !asks, "{answer:?}");
    }
}

#[test]
fn a_wrong_signature_is_never_what_makes_a_provider_give_up_for_good() {
    for flaw in Flaw::ALL {
        assert_eq!(Refusal::Unauthorized(flaw).status(), StatusCode::UNAUTHORIZED);
    }
}

#[test]
fn a_limit_is_told_in_both_notations() {
    let answer = over(StatusCode::TOO_MANY_REQUESTS);
    for (name, value) in [
        ("ratelimit-policy", "\"webhook\";q=200;w=2"),
        ("ratelimit", "\"webhook\";r=0;t=2"),
        ("x-ratelimit-limit", "200"),
        ("x-ratelimit-remaining", "0"),
        ("x-ratelimit-reset", "2"),
    ] {
        assert_eq!(header(&answer, name).as_deref(), Some(value), "{name}");
    }
}

#[test]
fn clients_are_asked_back_at_different_times() {
    let waits: std::collections::HashSet<u64> =
        (0..=255).map(|jitter| spread(Duration::from_secs(2), jitter)).collect();
    assert_eq!(waits, [2, 3, 4].into());
    assert!((0..=255).all(|jitter| spread(Duration::ZERO, jitter) >= 1));
}

/// A number for each refusal. Another one does not compile until it has its number here, and then its row in the table.
fn number(refusal: &Refusal) -> usize {
    match refusal {
        Refusal::NotFound => 0,
        Refusal::Method(_) => 1,
        Refusal::MediaType => 2,
        Refusal::TargetTooLong => 3,
        Refusal::HeadersTooLarge => 4,
        Refusal::TooLarge => 5,
        Refusal::TooSlow => 6,
        Refusal::Broken => 7,
        Refusal::Bad(_) => 8,
        Refusal::Unauthorized(_) => 9,
        Refusal::CannotVerify => 10,
        Refusal::CannotConfirm => 11,
        Refusal::Handshake(_) => 12,
        Refusal::OverLimit(..) => 13,
        Refusal::Overloaded => 14,
        Refusal::CannotStore => 15,
        Refusal::Ambiguous => 16,
    }
}

#[test]
fn every_refusal_and_every_outcome_is_in_the_table() {
    let (mut numbers, mut outcomes) = (BTreeSet::new(), BTreeSet::new());
    for (answer, ..) in table() {
        outcomes.insert(answer.outcome().as_str());
        if let Answer::Refused(refusal) = &answer {
            numbers.insert(number(refusal));
        }
    }
    assert_eq!(numbers, (0..17).collect());
    // Who is gone hears no answer.
    let answered = Outcome::ALL.into_iter().filter(|outcome| *outcome != Outcome::Abandoned);
    assert_eq!(outcomes, answered.map(Outcome::as_str).collect());
}
