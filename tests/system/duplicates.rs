//! The same message n times is one row, each repeat is recorded, and two messages are two rows.

use std::time::Duration;

use proto::{Millis, id};
use serde_json::{Value, json};
use tests::config::{STANDARD, TWILIO};
use tests::sign::{standard_request, standard_request_at, twilio_request};
use tests::time::{unix_millis, unix_seconds};
use tests::{Answer, Pipeline, Request};

use crate::shared;

/// The record of the repeat that `answer` accepted: it says what it is a repeat of, and why.
async fn recorded(pipeline: &Pipeline, row: &Value, answer: &Answer, policy: &str) {
    let duplicate = pipeline.row("duplicates", answer.id()).await;
    let received: Millis = duplicate["received_at"].as_str().unwrap().parse().unwrap();
    let expected = json!({
        "id": id::record_id(received, answer.id(), 0), "request_id": answer.id(), "part": 0, "original_id": row["id"],
        "channel": row["channel"], "source": row["source"], "provider_message_id": row["provider_message_id"],
        "policy": policy, "verdict": "repeat", "dedup_key": row["dedup_key"], "raw_sequence": answer.sequence(),
    });
    for (column, value) in expected.as_object().unwrap() {
        assert_eq!(&duplicate[column], value, "{column} of {duplicate:#}, whose original is {row:#}");
    }
}

#[tokio::test]
async fn the_same_request_is_one_row_and_its_repeats_are_told() {
    let pipeline = shared::pipeline().await;
    let request = standard_request(STANDARD, "repeats", "msg_1", r#"{"message": "once"}"#);
    let first = pipeline.post(&request).await;
    assert_eq!(first.json()["status"], "accepted");
    let row = pipeline.row("messages", first.accepted()).await;
    for _ in 0..3 {
        let again = pipeline.post(&request).await;
        assert_ne!(again.accepted(), first.id(), "stored all the same");
        assert_eq!(again.json()["status"], "duplicate", "{again}");
        assert_eq!(again.json()["repeat_of"], first.id().to_string(), "{again}");
        recorded(&pipeline, &row, &again, "auto").await;
    }
    pipeline.rows("repeats", 1, 3).await;
}

#[tokio::test]
async fn the_same_message_in_another_envelope_is_one_row() {
    let pipeline = shared::pipeline().await;
    // A provider's retry: the id stays, time and signature are new, and the sender may write its JSON anew.
    let first = standard_request_at(STANDARD, "envelopes", "msg_1", unix_seconds() - 60, r#"{"message":"a","n":1}"#);
    let retry = standard_request_at(STANDARD, "envelopes", "msg_1", unix_seconds(), r#"{ "n": 1, "message": "a" }"#)
        .header("X-Attempt", "2");
    let row = pipeline.row("messages", pipeline.post(&first).await.accepted()).await;
    let again = pipeline.post(&retry).await;
    assert_eq!(again.json()["status"], "accepted", "not byte-identical, so the gateway does not know: {again}");
    recorded(&pipeline, &row, &again, "auto").await;
    pipeline.rows("envelopes", 1, 1).await;
}

#[tokio::test]
async fn a_retry_by_twilio_is_one_row() {
    let pipeline = shared::pipeline().await;
    let fields = [("MessageSid", "SM1"), ("From", "+14155551438"), ("To", "+14155553237"), ("Body", "hi")];
    let mut other = fields;
    other.reverse();
    let first = pipeline.post(&twilio_request(TWILIO, "sms-retry", &fields)).await;
    let row = pipeline.row("messages", first.id()).await;
    let retry = twilio_request(TWILIO, "sms-retry", &other).header("I-Twilio-Idempotency-Token", "another");
    recorded(&pipeline, &row, &pipeline.post(&retry).await, "auto").await;
}

#[tokio::test]
async fn equal_text_with_other_ids_is_two_rows() {
    let pipeline = shared::pipeline().await;
    for message in ["msg_1", "msg_2"] {
        pipeline.post(&standard_request(STANDARD, "equal-text", message, r#"{"message": "yes"}"#)).await.accepted();
    }
    let rows = pipeline.rows("equal-text", 2, 0).await;
    assert_eq!(rows[0]["text"], rows[1]["text"]);
}

#[tokio::test]
async fn the_source_names_what_tells_a_repeat() {
    let pipeline = shared::pipeline().await;
    let by_field = |id: &str, n: u32| Request::json("/v1/webhook/id-field", format!(r#"{{"id": "{id}", "n": {n}}}"#));
    let by_header = |id: &str, n: u32| {
        Request::json("/v1/webhook/id-header", format!(r#"{{"n": {n}}}"#)).header("x-message-id", id)
    };
    for request in [by_field("a", 1), by_field("a", 2), by_field("b", 1), by_header("a", 1), by_header("a", 2)] {
        pipeline.post(&request).await.accepted();
    }
    pipeline.post(&by_header("b", 1)).await.accepted();
    for source in ["id-field", "id-header"] {
        let rows = pipeline.rows(source, 2, 1).await;
        assert_eq!((&rows[0]["provider_message_id"], &rows[1]["provider_message_id"]), (&json!("a"), &json!("b")));
    }
}

#[tokio::test]
async fn with_the_policy_off_nothing_is_a_repeat() {
    let pipeline = shared::pipeline().await;
    for _ in 0..3 {
        pipeline.post(&Request::json("/v1/webhook/off", r#"{"id": "a"}"#)).await.accepted();
    }
    pipeline.rows("off", 3, 0).await;
}

#[tokio::test]
async fn by_content_another_id_does_not_make_another_message() {
    let pipeline = shared::pipeline().await;
    for (message, body) in [("m1", r#"{"message":"a","n":1.50}"#), ("m2", "{ \"n\": 1.50,\n \"message\": \"a\" }")] {
        pipeline.post(&standard_request(STANDARD, "by-content", message, body)).await.accepted();
    }
    pipeline.post(&standard_request(STANDARD, "by-content", "m1", r#"{"message":"a","n":1.51}"#)).await.accepted();
    pipeline.rows("by-content", 2, 1).await;
    let duplicates = pipeline.database.rows("duplicates", "by-content").await;
    assert_eq!(duplicates[0]["policy"], "content");
}

#[tokio::test]
async fn a_forged_copy_does_not_take_the_place_of_the_real_message() {
    let pipeline = shared::pipeline().await;
    let body = r#"{"message": "real"}"#;
    let wrong = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let forged = pipeline.post(&standard_request(wrong, "forged", "msg_1", body)).await;
    assert_eq!(pipeline.row("messages", forged.accepted()).await["verified"], "no");
    let real = pipeline.post(&standard_request(STANDARD, "forged", "msg_1", body)).await;
    assert_eq!(pipeline.row("messages", real.accepted()).await["verified"], "yes");
    pipeline.rows("forged", 2, 0).await;
}

#[tokio::test]
async fn a_source_may_answer_a_repeat_with_409_instead_of_storing_it() {
    let pipeline = shared::pipeline().await;
    let request = Request::json("/v1/webhook/conflict", r#"{"message": "once"}"#);
    let first = pipeline.post(&request).await;
    pipeline.row("messages", first.accepted()).await;
    let again = pipeline.post(&request).await;
    assert_eq!(again.status, 409, "{again}");
    assert!(again.header("Penstock-Stored").is_none(), "{again}");
    assert_eq!(again.json()["repeat_of"], first.id().to_string(), "{again}");
    pipeline.rows("conflict", 1, 0).await;
}

#[tokio::test]
async fn equal_bodies_with_other_ids_in_a_header_are_no_repeats() {
    let pipeline = shared::pipeline().await;
    let body = r#"{"message": "yes"}"#;
    let signed = |id: &str| standard_request(STANDARD, "conflict-ids", id, body);
    let named = |id: &str| Request::json("/v1/webhook/conflict-header", body).header("x-message-id", id);
    for (source, first, other, first_again) in [
        ("conflict-ids", signed("msg_1"), signed("msg_2"), signed("msg_1")),
        ("conflict-header", named("a"), named("b"), named("a")),
    ] {
        let stored = pipeline.post(&first).await;
        stored.accepted();
        pipeline.post(&other).await.accepted();
        let again = pipeline.post(&first_again).await;
        assert_eq!(again.status, 409, "{again}");
        assert_eq!(again.json()["repeat_of"], stored.id().to_string(), "{again}");
        pipeline.rows(source, 2, 0).await;
    }
}

/// The window of the source `window`.
const WINDOW: i64 = 3_000;

fn in_window(id: &str) -> Request {
    Request::json("/v1/webhook/window", format!(r#"{{"id": "{id}", "message": "now and then"}}"#))
}

/// The time itself is what is awaited here.
async fn until(millis: i64) {
    let left = u64::try_from(millis - unix_millis()).unwrap_or(0);
    tokio::time::sleep(Duration::from_millis(left)).await;
}

#[tokio::test]
async fn after_the_window_a_repeat_is_a_row_again() {
    let pipeline = shared::pipeline().await;
    let first = pipeline.post(&in_window("after")).await;
    let row = pipeline.row("messages", first.accepted()).await;
    let received: Millis = row["received_at"].as_str().unwrap().parse().unwrap();
    until(received.as_unix() + WINDOW + 200).await;
    let second = pipeline.post(&in_window("after")).await;
    let later = pipeline.row("messages", second.accepted()).await;
    assert_ne!(later["id"], row["id"]);
    // Its own window begins with it.
    let third = pipeline.post(&in_window("after")).await;
    assert_eq!(pipeline.row("duplicates", third.accepted()).await["original_id"], later["id"]);
}

#[tokio::test]
async fn within_the_window_a_repeat_is_none_whatever_the_hour_strikes() {
    let pipeline = shared::pipeline().await;
    // Claims of short windows are numbered by floor(received_at / window): one just before a stroke, one just after.
    let stroke = (unix_millis() / WINDOW + 1) * WINDOW;
    until(stroke - 400).await;
    let first = pipeline.post(&in_window("stroke")).await;
    let row = pipeline.row("messages", first.accepted()).await;
    until(stroke + 50).await;
    let second = pipeline.post(&in_window("stroke")).await;
    let received = |id: uuid::Uuid| id.get_timestamp().unwrap().to_unix().0 * 1000;
    assert!(received(second.accepted()) - received(first.id()) < 3_000, "the test was too slow to say anything");
    assert_eq!(pipeline.row("duplicates", second.id()).await["original_id"], row["id"]);
}

#[tokio::test]
async fn after_the_claim_was_trimmed_it_is_still_one_row() {
    let pipeline = shared::pipeline().await;
    let request =
        |n: u32| standard_request(STANDARD, "trimmed", "msg_1", &format!(r#"{{"message": "once", "n": {n}}}"#));
    let row = pipeline.row("messages", pipeline.post(&request(1)).await.accepted()).await;
    let claim = format!("unique.*.{}", row["dedup_key"].as_str().unwrap().trim_start_matches("\\x"));
    pipeline.settled().await;
    assert_eq!(pipeline.broker.purge("UNIQUE", &claim).await, 1, "the claim was there");

    let again = pipeline.post(&request(2)).await;
    recorded(&pipeline, &row, &again, "auto").await;
    // The repeat has claimed the key anew, which must not make it the original.
    let third = pipeline.post(&request(3)).await;
    recorded(&pipeline, &row, &third, "auto").await;
    pipeline.rows("trimmed", 1, 2).await;
}
