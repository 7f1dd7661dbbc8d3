//! Events through the real door: a batch becomes its rows, the bad one a dead letter; who asks first is told yes.

use hyper::Method;
use serde_json::json;
use tests::Request;
use tests::config::BEARER;

use crate::shared;

const PATH: &str = "/v1/webhook/events";

#[tokio::test]
async fn each_event_of_a_batch_is_a_row_and_a_bad_one_is_dead_alone() {
    let pipeline = shared::pipeline().await;
    let event = |id: &str| {
        json!({ "specversion": "1.0", "id": id, "source": "/shop", "type": "order.paid",
            "time": "2026-08-01T08:06:46+02:00", "data": { "text": format!("paid: {id}") } })
    };
    let batch = json!([event("a"), { "specversion": "1.0", "id": "b" }, event("c")]);
    let request = Request::post(PATH, batch.to_string())
        .header("Content-Type", "application/cloudevents-batch+json; charset=UTF-8")
        .header("Authorization", format!("Bearer {BEARER}"));
    let answer = pipeline.post(&request).await;
    pipeline.rows("events", 2, 0).await;
    let rows = pipeline.database.of_request("messages", answer.accepted()).await;
    for (row, (part, id)) in rows.iter().zip([(0, "a"), (2, "c")]) {
        assert_eq!(row["part"], part, "{row:#}");
        assert_eq!(row["provider_message_id"], id, "{row:#}");
        assert_eq!(row["text"], format!("paid: {id}"), "{row:#}");
        assert_eq!(row["metadata"]["type"], "order.paid", "{row:#}");
    }
    let letter = pipeline.row("dead_letters", answer.id()).await;
    assert_eq!((&letter["part"], &letter["reason"]), (&json!(1), &json!("not_an_event")), "{letter:#}");
}

#[tokio::test]
async fn a_key_in_the_url_opens_the_door_and_is_kept_nowhere() {
    let pipeline = shared::pipeline().await;
    let request = Request::json(format!("/v1/webhook/events-binary?access_token={BEARER}"), r#"{"text": "hello"}"#)
        .header("ce-specversion", "1.0")
        .header("ce-id", "1")
        .header("ce-source", "/shop")
        .header("ce-type", "t");
    let answer = pipeline.post(&request).await;
    let row = pipeline.row("messages", answer.accepted()).await;
    assert_eq!((&row["text"], &row["verified"]), (&json!("hello"), &json!("yes")), "{row:#}");
    let kept = pipeline.broker.message("RAW", answer.sequence()).await.unwrap();
    assert!(!format!("{:?}", kept.headers).contains(BEARER) && !row.to_string().contains(BEARER));
    let no_event = Request::json(PATH, "{}").header("Authorization", format!("Bearer {BEARER}"));
    pipeline.post(&no_event).await.problem(400);
}

#[tokio::test]
async fn who_asks_before_delivering_is_told_yes_and_nothing_is_stored() {
    let pipeline = shared::pipeline().await;
    let ask = |path: &str| Request::new(Method::OPTIONS, path);
    let asked = ask(PATH).header("WebHook-Request-Origin", "sender.example.com").header("WebHook-Request-Rate", "120");
    let answer = pipeline.post(&asked).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, ""), "{answer}");
    for (name, value) in
        [("WebHook-Allowed-Origin", "sender.example.com"), ("WebHook-Allowed-Rate", "120"), ("Allow", "POST")]
    {
        assert_eq!(answer.header(name), Some(value), "{answer}");
    }
    assert_eq!(answer.header("Penstock-Stored"), None, "{answer}");
    crate::journey::security_headers(&answer);

    let answer = pipeline.post(&ask(PATH)).await;
    assert_eq!(answer.problem(405).header("Allow"), Some("POST"));
    let elsewhere = ask("/v1/webhook/any-json").header("WebHook-Request-Origin", "sender.example.com");
    pipeline.post(&elsewhere).await.problem(405);
}
