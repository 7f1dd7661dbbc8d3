//! Files that come with messages: stored before anybody is told of them, whole, and found from their row.

use std::time::Duration;

use serde_json::{Value, json};
use tests::eventually::{ensure, eventually};
use tests::s3::S3;
use tests::{Answer, Pipeline, Request, Role, config};

/// A form with a text and a file of these bytes.
fn upload(source: &str, text: &str, file: &[u8]) -> Request {
    let mut body = format!(
        "--b\r\nContent-Disposition: form-data; name=\"message\"\r\n\r\n{text}\r\n\
         --b\r\nContent-Disposition: form-data; name=\"photo\"; filename=\"../a b.png\"\r\n\
         Content-Type: image/png\r\n\r\n"
    )
    .into_bytes();
    body.extend_from_slice(file);
    body.extend_from_slice(b"\r\n--b--\r\n");
    Request::post(format!("/v1/form/{source}"), body).header("Content-Type", "multipart/form-data; boundary=b")
}

fn bytes(seed: u8, length: usize) -> Vec<u8> {
    (0..251).map(|byte: u8| seed.wrapping_add(byte)).cycle().take(length).collect()
}

/// Where the file of a row is, after the URL of the store.
fn place(row: &Value, file: &[u8], store: &str) -> String {
    let attachment = &row["attachments"][0];
    let hash = blake3::hash(file).to_hex().to_string();
    assert_eq!(attachment["blake3"], hash.as_str(), "{row:#}");
    assert_eq!(attachment["size"], file.len());
    assert_eq!(attachment["filename"], "a b.png");
    assert_eq!(row["truncations"], json!([]));
    let month = &row["received_at"].as_str().unwrap()[..7];
    assert_eq!(attachment["location"], format!("{store}/{month}/{hash}"));
    format!("{month}/{hash}")
}

fn forms(more: &str, names: &[&str]) -> String {
    let sources = names.iter().map(|name| config::source("form", "generic", name, more));
    config::with_sources(sources.collect::<Vec<_>>())
}

async fn references(pipeline: &Pipeline, answer: &Answer) -> i64 {
    let statement = format!(
        "SELECT count(*) FROM message_attachments a JOIN messages m USING (received_at, id)
         WHERE m.request_id = '{}' AND m.attachments -> a.position ->> 'blake3' = a.blake3",
        answer.id()
    );
    pipeline.database.number(&statement).await
}

#[tokio::test]
async fn up_keeps_files_in_a_folder_and_a_row_says_where() {
    let pipeline = Pipeline::start(&forms("max_body = \"8 MiB\"", &["uploads"])).await;
    let folder = pipeline.up().folder().join("data/attachments");
    for file in [bytes(1, 0), bytes(2, 70_000), bytes(3, 5 << 20)] {
        let answer = pipeline.post(&upload("uploads", &format!("{} bytes", file.len()), &file)).await;
        let row = pipeline.row("messages", answer.accepted()).await;
        let place = place(&row, &file, &format!("file://{}", folder.display()));
        assert!(std::fs::read(folder.join(place)).unwrap() == file, "the file is there, byte for byte");
        assert_eq!(references(&pipeline, &answer).await, 1);
    }
}

#[tokio::test]
async fn files_go_to_a_bucket_and_wait_while_it_is_away() {
    let folder = tempfile::tempdir().unwrap();
    let mut s3 = S3::start(folder.path(), "kept").await;
    let store = format!(
        "\n[attachments]\nstore = \"s3://kept/for/us\"\nendpoint = \"{}\"\naccess_key_id = {{ value = \"id\" }}\n\
         secret_access_key = {{ value = \"secret\" }}\n",
        s3.url
    );
    let pipeline = Pipeline::start(&format!("{}{store}", forms("", &["uploads", "texts"]))).await;
    let file = bytes(7, 100_000);
    let answer = pipeline.post(&upload("uploads", "with a file", &file)).await;
    let row = pipeline.row("messages", answer.accepted()).await;
    let place = place(&row, &file, "s3://kept/for/us");
    assert!(s3.object(&format!("/kept/for/us/{place}")).await.unwrap() == file);

    s3.freeze();
    let waiting = pipeline.post(&upload("uploads", "waits", &bytes(8, 2000))).await;
    waiting.accepted();
    let admin = pipeline.admin_url(Role::Normalizer);
    eventually(Duration::from_mins(3), "the normalizer says that files cannot be stored", async || {
        let answer = Request::get("/health").send(&admin).await;
        let answer = answer.map_err(|error| error.to_string())?;
        ensure(answer.status == 503, || answer.to_string())
    })
    .await;
    assert!(pipeline.database.of_request("messages", waiting.id()).await.is_empty(), "no row before its file");
    s3.thaw();
    let row = pipeline.row("messages", waiting.id()).await;
    assert_eq!(row["text"], "waits");
    assert_eq!(references(&pipeline, &waiting).await, 1);
    pipeline.settled().await;
}

#[tokio::test]
async fn without_a_store_a_row_says_that_its_files_are_in_the_request_only() {
    let pipeline = Pipeline::by_hand(&forms("", &["uploads"]), &Role::ALL).await;
    let answer = pipeline.post(&upload("uploads", "x", &bytes(1, 2000))).await;
    let row = pipeline.row("messages", answer.accepted()).await;
    assert_eq!(row["truncations"], json!([{"field": "attachments", "reason": "not_stored"}]));
    assert_eq!(row["attachments"][0]["location"], Value::Null);
    assert_eq!(references(&pipeline, &answer).await, 0);
}
