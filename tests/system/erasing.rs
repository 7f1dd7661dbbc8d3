//! Somebody asks to be forgotten: everything of him goes, from every store, and nothing brings him back; everything of
//! others stays. Or he asks what is kept of him.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use memchr::memmem;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use tests::config::{self, STANDARD, TWILIO, UNLIMITED};
use tests::eventually::ensure;
use tests::sign::{standard_request, twilio_request};
use tests::{Answer, Pipeline, Request, Role, eventually};
use uuid::Uuid;

const SOON: Duration = Duration::from_mins(1);
const MAIL: &str = "canary.person@erased.example";
const PHONE: &str = "+14155550142";
/// What is looked for in the files: his addresses, his name, and what he wrote.
const CANARIES: [&str; 5] = ["canary.person", "4155550142", "Quillfeather", "wrote-this-alone", "wrote-this-in-a-file"];

fn sources(store: &Path) -> String {
    let twilio = format!("secrets = [{{ value = \"{TWILIO}\" }}]\n{UNLIMITED}");
    let held = format!("secrets = [{{ value = \"another\" }}]\nverify = \"hold\"\n{UNLIMITED}");
    let sources = config::with_sources([
        config::signed("orders"),
        config::source("sms", "twilio", "texts", &twilio),
        config::source("sms", "twilio", "unsure", &held),
        config::source(
            "form",
            "generic",
            "guarded",
            &format!("secrets = [{{ value = \"key\" }}]\nverify = \"hold\"\n{UNLIMITED}"),
        ),
        config::source("form", "generic", "contact", &format!("max_body = \"8 MiB\"\n{UNLIMITED}")),
    ]);
    format!("{sources}\n[attachments]\nstore = \"file://{}\"\n", store.display())
}

fn text_of(id: &str, from: &str, body: &str) -> Request {
    let fields = [("MessageSid", id), ("From", from), ("To", "+14155553237"), ("Body", body)];
    twilio_request(TWILIO, "texts", &fields)
}

fn with_file(mail: &str) -> Request {
    let body = format!(
        "--b\r\nContent-Disposition: form-data; name=\"email\"\r\n\r\n{mail}\r\n\
         --b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\n\
         wrote-this-in-a-file\r\n--b--\r\n"
    );
    Request::post("/v1/form/contact", body).header("Content-Type", "multipart/form-data; boundary=b")
}

fn form(fields: &Value) -> Request {
    Request::json("/v1/form/contact", fields.to_string())
}

/// The files under a folder in which one of the canaries is.
fn holding_a_canary(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(holding_a_canary(&path));
        } else if let Ok(bytes) = std::fs::read(&path) {
            // Gone while this looked: nothing is in it.
            let bytes = bytes.to_ascii_lowercase();
            let is_in = |canary: &&str| memmem::find(&bytes, canary.to_ascii_lowercase().as_bytes()).is_some();
            found.extend(CANARIES.iter().any(is_in).then_some(path));
        }
    }
    found
}

async fn erase(pipeline: &Pipeline, arguments: &[&str]) -> (Value, Option<i32>, String) {
    let output = pipeline.try_command(&[&["erase", "--json"], arguments].concat()).await;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    (serde_json::from_slice(&output.stdout).unwrap_or_default(), output.status.code(), told)
}

async fn posted(pipeline: &Pipeline, request: &Request) -> Answer {
    let answer = pipeline.post(request).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer
}

async fn is_exact(pipeline: &Pipeline) {
    let output = pipeline.command(&["audit", "--json", "--wait", "1m"]).await;
    let books: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&books["exact"], &books["missing"]), (&json!(true), &json!(0)), "{books:#}");
}

#[tokio::test]
async fn what_is_erased_is_in_no_file_of_any_store_and_nothing_brings_it_back() {
    let files = tempfile::tempdir().unwrap();
    let mut pipeline = Pipeline::start(&sources(files.path())).await;
    let data = pipeline.up().folder().join("data");
    // His: a text and its repeat, a form, a large one, one with a file, a dead letter, one that is held.
    let first = text_of("SM1", PHONE, "wrote-this-alone");
    posted(&pipeline, &first).await;
    posted(&pipeline, &first).await;
    posted(&pipeline, &form(&json!({"email": MAIL, "name": "Ada Quillfeather", "message": "wrote-this-alone"}))).await;
    let large = "wrote-this-alone ".repeat(60_000);
    posted(&pipeline, &form(&json!({"email": MAIL, "message": large}))).await;
    posted(&pipeline, &with_file(MAIL)).await;
    let broken = format!("{{\"email\": \"{MAIL}\", \"name\": \"Quillfeather\"");
    posted(&pipeline, &standard_request(STANDARD, "orders", "broken", &broken)).await;
    let fields = [("MessageSid", "SM2"), ("From", PHONE), ("To", "+14155553237"), ("Body", "wrote-this-alone")];
    posted(&pipeline, &twilio_request(TWILIO, "unsure", &fields)).await;
    // Somebody else's in the same request, and alone.
    let shared =
        form(&json!([{"email": MAIL, "message": "wrote-this-alone"}, {"email": "n@x.example", "message": "a"}]));
    let shared = posted(&pipeline, &shared).await;
    posted(&pipeline, &text_of("SM3", "+14155550199", "b")).await;
    pipeline.settled().await;
    is_exact(&pipeline).await;
    pipeline.database.execute("CHECKPOINT").await;
    for store in ["nats", "postgres/data/base"] {
        assert!(!holding_a_canary(&data.join(store)).is_empty(), "the search does not see what is in {store}");
    }
    assert_eq!(holding_a_canary(files.path()).len(), 1, "the search does not see his file");

    // As after a day: the body of a large record stays longer than what refers to it.
    pipeline.broker.purge("UNIQUE", ">").await;
    let person = ["--address", PHONE, "--address", "Canary.Person@Erased.Example"];
    let (dry, code, told) = erase(&pipeline, &[&person[..], &["--dry-run"]].concat()).await;
    assert_eq!(code, Some(0), "{told}");
    let (receipt, code, told) = erase(&pipeline, &person).await;
    assert_eq!(code, Some(0), "{told}");
    for (place, number) in [("messages", 5), ("RAW", 7), ("HELD", 1), ("DLQ", 1), ("files", 1)] {
        assert_eq!(dry["places"][place], json!({"found": number, "erased": 0}), "{place}: {dry:#}");
        assert_eq!(receipt["places"][place], json!({"found": number, "erased": number}), "{place}: {receipt:#}");
    }
    let chunks = dry["places"]["BODIES"]["found"].as_u64().unwrap();
    assert!(chunks > 0, "{dry:#}");
    assert_eq!(receipt["places"]["BODIES"], json!({"found": chunks, "erased": chunks}), "{receipt:#}");
    assert!(holding_a_canary(files.path()).is_empty(), "his file is still there");
    // A checkpoint removes the files of the tables that were written anew.
    pipeline.database.execute("CHECKPOINT").await;
    eventually(SOON, "nothing of him is in a file", async || {
        let left =
            ["nats", "postgres/data/base", "attachments"].map(|store| holding_a_canary(&data.join(store))).concat();
        ensure(left.is_empty(), || format!("{left:?}"))
    })
    .await;
    is_exact(&pipeline).await;

    // A late retry, a replay of everything.
    let retry = posted(&pipeline, &first).await;
    pipeline.command(&["replay", "--since", "1h"]).await;
    pipeline.settled().await;
    let verdicts =
        format!("SELECT count(*) FROM duplicates WHERE verdict = 'erased' AND request_id = '{}'", retry.id());
    eventually(SOON, "the retry ends as erased", async || {
        let found = pipeline.database.number(&verdicts).await;
        ensure(found == 1, || format!("{found}"))
    })
    .await;
    let mut left = pipeline.database.content("messages").await;
    left.sort();
    assert_eq!(left.len(), 2, "{left:?}");
    assert_eq!(pipeline.database.of_request("messages", shared.accepted()).await.len(), 1, "the neighbour's row stays");
    let blank = "SELECT count(*) FROM duplicates WHERE provider_message_id IS NOT NULL";
    assert_eq!(pipeline.database.number(blank).await, 0, "no repeat says his message's id");
    is_exact(&pipeline).await;
    pipeline.may_be_unsettled();
}

#[tokio::test]
async fn a_request_on_its_way_is_waited_for_and_until_then_nothing_is_erased() {
    let files = tempfile::tempdir().unwrap();
    let roles = [Role::Gateway, Role::Normalizer, Role::Dedup];
    let mut pipeline = Pipeline::by_hand(&sources(files.path()), &roles).await;
    let both = form(&json!([{"email": MAIL, "message": "his"}, {"email": "n@x.example", "message": "a neighbour's"}]));
    let request: Uuid = posted(&pipeline, &both).await.accepted();

    let (_, code, told) = erase(&pipeline, &["--address", MAIL, "--wait", "2s"]).await;
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("on its way") && told.contains("persister"), "{told}");
    assert_eq!(pipeline.broker.count("RAW", "raw.form.contact").await, 1);
    assert_eq!(pipeline.broker.count("UNIQUE", ">").await, 2);

    pipeline.start_role(Role::Persister).await;
    let (receipt, code, told) = erase(&pipeline, &["--address", MAIL]).await;
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(receipt["places"]["messages"], json!({"found": 1, "erased": 1}), "{receipt:#}");
    let rows = pipeline.database.of_request("messages", request).await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(rows[0]["text"], "a neighbour's");
    assert_eq!(pipeline.broker.count("RAW", "raw.form.contact").await, 0);
    is_exact(&pipeline).await;
}

#[tokio::test]
async fn a_record_of_somebody_else_that_waits_in_the_dlq_keeps_the_request_that_it_needs() {
    let files = tempfile::tempdir().unwrap();
    let pipeline = Pipeline::start(&sources(files.path())).await;
    let request = posted(&pipeline, &form(&json!([{"email": MAIL, "message": "his"}, 5]))).await.accepted();
    pipeline.settled().await;

    let (receipt, code, told) = erase(&pipeline, &["--address", MAIL]).await;
    assert_eq!(code, Some(1), "somebody has to look at it: {told}");
    assert_eq!(receipt["kept_requests"], json!([request]), "{receipt:#}");
    assert_eq!(receipt["places"]["messages"], json!({"found": 1, "erased": 1}));
    assert_eq!(pipeline.broker.count("DLQ", ">").await, 1);
    assert_eq!(pipeline.broker.count("RAW", "raw.form.contact").await, 1);
    is_exact(&pipeline).await;

    let letter = pipeline.database.of_request("dead_letters", request).await;
    let held = json!([{"email": MAIL, "message": "his"}, {"email": "n@x.example", "message": "a neighbour's"}]);
    let held = posted(&pipeline, &Request::json("/v1/form/guarded", held.to_string())).await.id();
    let (receipt, code, told) = erase(&pipeline, &["--address", MAIL]).await;
    assert_eq!(code, Some(1), "{told}");
    assert_eq!(receipt["kept_requests"], json!(BTreeSet::from([request, held])), "{receipt:#}");
    assert_eq!(pipeline.broker.count("HELD", ">").await, 1);
    pipeline.command(&["held", "release", "--unverified", &held.to_string()]).await;
    pipeline.settled().await;

    pipeline.command(&["dlq", "drop", "--yes", letter[0]["id"].as_str().unwrap()]).await;
    let (_, code, told) = erase(&pipeline, &["--address", MAIL]).await;
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(pipeline.broker.count("RAW", "raw.form.contact").await, 0);
    is_exact(&pipeline).await;
}

#[tokio::test]
async fn a_file_that_the_store_does_not_have_is_named_and_not_said_to_be_erased() {
    let files = tempfile::tempdir().unwrap();
    let pipeline = Pipeline::start(&sources(files.path())).await;
    posted(&pipeline, &with_file(MAIL)).await;
    pipeline.settled().await;
    let [file] = &*holding_a_canary(files.path()) else { panic!("one file") };
    std::fs::remove_file(file).unwrap();
    let (receipt, code, told) = erase(&pipeline, &["--address", MAIL]).await;
    assert_eq!(code, Some(1), "{told}");
    assert_eq!(receipt["places"]["files"], json!({"found": 1, "erased": 0}), "{receipt:#}");
    let name = file.strip_prefix(files.path()).unwrap().to_str().unwrap();
    assert_eq!(receipt["absent_files"], json!([name]), "{receipt:#}");
    assert_eq!(pipeline.database.number("SELECT count(*) FROM messages").await, 0);
}

#[tokio::test]
async fn two_erasures_do_not_run_at_once() {
    let files = tempfile::tempdir().unwrap();
    let pipeline = Pipeline::start(&sources(files.path())).await;
    posted(&pipeline, &with_file(MAIL)).await;
    pipeline.settled().await;
    let run = pipeline.up().run().expect("penstock up runs");
    let mut other = PgConnection::connect(&run.postgres_url).await.unwrap();
    sqlx::query("SELECT pg_advisory_lock(7236834, 3)").execute(&mut other).await.unwrap();
    let (_, code, told) = erase(&pipeline, &["--address", MAIL]).await;
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("another erasure is running"), "{told}");
    assert_eq!(pipeline.database.number("SELECT count(*) FROM messages").await, 1);
    let (dry, code, told) = erase(&pipeline, &["--address", MAIL, "--dry-run"]).await;
    assert_eq!((code, &dry["places"]["messages"]["found"]), (Some(0), &json!(1)), "{told}");
    drop(other);
    let (_, code, told) = erase(&pipeline, &["--address", MAIL]).await;
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(pipeline.database.number("SELECT count(*) FROM messages").await, 0);
}

#[tokio::test]
async fn an_address_that_many_have_written_to_is_not_erased_by_mistake() {
    let files = tempfile::tempdir().unwrap();
    let pipeline = Pipeline::start(&sources(files.path())).await;
    for number in 0..12 {
        posted(&pipeline, &text_of(&format!("SM{number}"), &format!("+1415555020{number:02}"), "hello")).await;
    }
    pipeline.settled().await;
    let (_, code, told) = erase(&pipeline, &["--address", "+14155553237"]).await;
    assert_eq!(code, Some(64), "{told}");
    assert!(told.contains("one of your own") && told.contains("--even-if-ours"), "{told}");
    assert_eq!(pipeline.database.number("SELECT count(*) FROM messages").await, 12);
    let (_, code, told) = erase(&pipeline, &["--address", "+14155553237", "--even-if-ours"]).await;
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(pipeline.database.number("SELECT count(*) FROM messages").await, 0);
}

#[tokio::test]
async fn an_export_has_all_that_is_kept_of_somebody_and_nothing_of_his_neighbours() {
    let files = tempfile::tempdir().unwrap();
    let pipeline = Pipeline::start(&sources(files.path())).await;
    let text = text_of("SM1", PHONE, "wrote-this-alone");
    posted(&pipeline, &text).await;
    // Else either of the two could be the repeat.
    pipeline.settled().await;
    let again = posted(&pipeline, &text).await.id();
    posted(&pipeline, &with_file(MAIL)).await;
    let shared =
        form(&json!([{"email": MAIL, "message": "mine"}, {"email": "n@x.example", "message": "a neighbour's"}]));
    posted(&pipeline, &shared).await;
    posted(&pipeline, &text_of("SM3", "+14155550199", "a stranger's")).await;
    pipeline.settled().await;

    let copies = files.path().join("copies");
    let folder = copies.to_str().unwrap();
    let output = pipeline.command(&["export", "--address", PHONE, "--address", MAIL, "--files", folder]).await;
    let told = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let rows = lines.iter().filter(|line| line["table"] == "messages");
    let mut texts: Vec<&str> = rows.filter_map(|row| row["text"].as_str()).collect();
    texts.sort_unstable();
    assert_eq!(texts, ["mine", "wrote-this-alone"]);
    let raw: Vec<&Value> = lines.iter().filter(|line| line["stream"] == "RAW").collect();
    assert_eq!(raw.len(), 4, "{raw:#?}");
    let repeats: Vec<&Value> = lines.iter().filter(|line| line["table"] == "duplicates").collect();
    assert_eq!(repeats.len(), 1, "{repeats:#?}");
    assert_eq!((&repeats[0]["request_id"], &repeats[0]["provider_message_id"]), (&json!(again), &json!("SM1")));
    assert!(raw.iter().any(|line| line["body"].as_str().is_some_and(|body| body.contains("wrote-this-alone"))));
    assert!(raw.iter().any(|line| line["left_out"].is_string()), "the request that others are in is named only");
    for other in ["a neighbour's", "n@x.example", "a stranger's", "4155550199"] {
        assert!(!told.contains(other), "{other} is given out");
    }
    let month = std::fs::read_dir(&copies).unwrap().next().unwrap().unwrap().path();
    let file = std::fs::read_dir(month).unwrap().next().unwrap().unwrap().path();
    assert_eq!(std::fs::read_to_string(file).unwrap(), "wrote-this-in-a-file");
}
