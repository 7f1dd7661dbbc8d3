//! Replaying anything, any number of times, changes nothing that should not change; and what should, does.

use std::collections::BTreeSet;
use std::time::Duration;

use proto::envelope::{Pairs, RawEnvelope};
use proto::{Verified, header};
use serde_json::{Value, json};
use tests::broker::Headers;
use tests::config::{self, STANDARD, TWILIO};
use tests::eventually::ensure;
use tests::sign::{standard_request, twilio_request};
use tests::{Pipeline, Request, Role, eventually};

const SOON: Duration = Duration::from_mins(1);
const TABLES: [&str; 4] = ["messages", "message_statuses", "duplicates", "dead_letters"];

fn sources() -> Vec<String> {
    let twilio = format!("secrets = [{{ value = \"{TWILIO}\" }}]\n");
    vec![
        config::signed("orders"),
        config::source("sms", "twilio", "texts", &twilio),
        config::source("form", "generic", "contact", ""),
        config::source("webhook", "none", "window", "id_field = \"id\"\ndedup = { window = \"1s\" }\n"),
        config::source("webhook", "none", "off", "dedup = { policy = \"off\" }\n"),
        config::source("webhook", "none", "large", "max_body = \"2 MiB\"\n"),
    ]
}

/// One of everything, in such an order that each table gets something.
async fn fill(pipeline: &Pipeline) {
    for (message, n) in [("a", 1), ("b", 2), ("a", 3), ("c", 4), ("a", 5)] {
        let body = format!(r#"{{"message": "{message}", "n": {n}}}"#);
        pipeline.post(&standard_request(STANDARD, "orders", message, &body)).await.accepted();
        // One after the other: of two copies in flight together, either may become the row.
        pipeline.settled().await;
    }
    for fields in [
        vec![("MessageSid", "SM1"), ("From", "+14155551438"), ("To", "+14155553237"), ("Body", "hi 👋")],
        vec![("MessageSid", "SM2"), ("From", "+14155551438"), ("To", "+14155553237"), ("MessageStatus", "sent")],
        vec![("MessageSid", "SM2"), ("From", "+14155551438"), ("To", "+14155553237"), ("MessageStatus", "read")],
    ] {
        assert_eq!(pipeline.post(&twilio_request(TWILIO, "texts", &fields)).await.status, 200);
    }
    pipeline.post(&Request::json("/v1/form/contact", r#"[{"message": "1"}, {"message": "2"}]"#)).await.accepted();
    for _ in 0..2 {
        pipeline.post(&Request::json("/v1/webhook/window", r#"{"id": "w"}"#)).await.accepted();
        // The window itself is what is awaited.
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        pipeline.post(&Request::json("/v1/webhook/off", r#"{"same": true}"#)).await.accepted();
    }
    let large = format!(r#"{{"message": "large", "padding": "{}"}}"#, "x".repeat(700 * 1024));
    pipeline.post(&Request::json("/v1/webhook/large", large)).await.accepted();
    pipeline.settled().await;
}

async fn tables(pipeline: &Pipeline) -> Vec<(&'static str, Vec<String>)> {
    let mut all = Vec::new();
    for table in TABLES {
        all.push((table, pipeline.database.content(table).await));
    }
    all
}

#[track_caller]
fn same(before: &[(&str, Vec<String>)], after: &[(&str, Vec<String>)], when: &str) {
    for ((table, before), (_, after)) in before.iter().zip(after) {
        let (old, new): (BTreeSet<_>, BTreeSet<_>) = (before.iter().collect(), after.iter().collect());
        let gone: Vec<_> = old.difference(&new).collect();
        let come: Vec<_> = new.difference(&old).collect();
        assert!(
            before.len() == after.len() && gone.is_empty() && come.is_empty(),
            "{table} {when}: gone {gone:#?}, come {come:#?}"
        );
    }
}

/// Everything that a table is, so that nothing of before is left.
async fn truncate(pipeline: &Pipeline) {
    pipeline
        .database
        .execute(
            "DO $$ DECLARE names text; BEGIN
                SELECT string_agg(quote_ident(relname), ', ') INTO names FROM pg_class
                WHERE relkind IN ('r', 'p') AND NOT relispartition AND relnamespace = 'public'::regnamespace
                AND relname !~ '^_';
                EXECUTE 'TRUNCATE ' || names;
            END $$",
        )
        .await;
    assert_eq!(pipeline.database.number("SELECT count(*) FROM messages").await, 0);
}

#[tokio::test]
async fn replaying_everything_twice_gives_the_same_tables_also_from_nothing() {
    let pipeline = Pipeline::by_hand(&config::with_sources(sources()), &Role::ALL).await;
    fill(&pipeline).await;
    let before = tables(&pipeline).await;
    let counts: Vec<_> = before.iter().map(|(table, rows)| (*table, rows.len())).collect();
    assert_eq!(counts, [("messages", 11), ("message_statuses", 2), ("duplicates", 2), ("dead_letters", 0)]);
    let replays = async || pipeline.broker.stream("REPLAY").await["state"]["last_seq"].as_u64().unwrap();

    let counted = pipeline.command(&["replay", "--dry-run", "--json"]).await;
    let counted: Value = serde_json::from_slice(&counted.stdout).unwrap();
    let raw = pipeline.broker.count("RAW", "raw.*.*").await;
    assert_eq!(counted["requests"].as_u64(), Some(raw), "{counted:#}");
    assert_eq!(replays().await, 0, "counting sends nothing");

    for when in ["after one replay", "after another"] {
        pipeline.command(&["replay"]).await;
        pipeline.settled().await;
        same(&before, &tables(&pipeline).await, when);
    }
    assert_eq!(replays().await, 2 * raw);
    // The same run again: the broker knows its messages, and the rows do too.
    for when in ["after a run", "after the same run"] {
        pipeline.command(&["replay", "--run", "again"]).await;
        pipeline.settled().await;
        same(&before, &tables(&pipeline).await, when);
    }
    for when in ["from nothing", "from nothing, once more"] {
        truncate(&pipeline).await;
        pipeline.command(&["replay"]).await;
        pipeline.settled().await;
        let after = tables(&pipeline).await;
        assert_eq!(counts, after.iter().map(|(table, rows)| (*table, rows.len())).collect::<Vec<_>>(), "{when}");
        // Which copy of a repeated message is the row: see the next test.
        same(&without_repeated(before.clone()), &without_repeated(after), when);
    }
}

/// Without the message that was sent several times.
fn without_repeated(mut tables: Vec<(&'static str, Vec<String>)>) -> Vec<(&'static str, Vec<String>)> {
    for (_, rows) in &mut tables {
        rows.retain(|row| !row.contains(r#""provider_message_id": "a""#));
    }
    tables
}

#[tokio::test]
async fn a_replay_keeps_the_order_of_the_requests_through_every_stage() {
    const REQUESTS: usize = 400;
    let stages = [Role::Gateway, Role::Normalizer, Role::Dedup];
    let mut pipeline = Pipeline::by_hand(&config::with_sources(sources()), &stages).await;
    // Nobody takes the repeats, so the order in which they were published can be looked at.
    pipeline.may_be_unsettled();
    for n in 0..REQUESTS {
        let request = standard_request(STANDARD, "orders", &format!("m{n}"), &format!(r#"{{"n": {n}}}"#));
        pipeline.post(&request).await.accepted();
    }
    pipeline.command(&["replay"]).await;
    eventually(SOON, "every record of the replay is in DUPLICATES", async || {
        let there = pipeline.broker.count("DUPLICATES", "duplicate.webhook.orders").await;
        ensure(there == REQUESTS as u64, || format!("{there}"))
    })
    .await;
    let mut order = Vec::new();
    for sequence in 1..=REQUESTS as u64 {
        let record = pipeline.broker.message("DUPLICATES", sequence).await.unwrap();
        let record: Value = serde_json::from_slice(&record.payload).unwrap();
        order.push(record["raw_sequence"].as_u64().unwrap());
    }
    assert!(order.is_sorted(), "{order:?}");
}

#[tokio::test]
async fn the_first_copy_is_the_row_again_when_everything_is_replayed_from_nothing() {
    const MESSAGES: usize = 30;
    let pipeline = Pipeline::by_hand(&config::with_sources(sources()), &Role::ALL).await;
    for copy in 0..3 {
        for n in 0..MESSAGES {
            let body = format!(r#"{{"message": "{n}", "copy": {copy}}}"#);
            pipeline.post(&standard_request(STANDARD, "orders", &format!("m{n}"), &body)).await.accepted();
        }
        // One copy after the other: only of copies that are in flight together may either become the row.
        pipeline.settled().await;
    }
    pipeline.rows("orders", MESSAGES, 2 * MESSAGES).await;
    let before = tables(&pipeline).await;
    truncate(&pipeline).await;
    pipeline.command(&["replay"]).await;
    pipeline.settled().await;
    same(&before, &tables(&pipeline).await, "from nothing");
}

#[tokio::test]
async fn after_everything_was_truncated_a_dead_letter_comes_back_too() {
    let pipeline = Pipeline::by_hand(&config::with_sources(sources()), &Role::ALL).await;
    let answer = pipeline.post(&standard_request(STANDARD, "orders", "a", "{}")).await;
    pipeline.row("messages", answer.accepted()).await;
    // A request that no adapter can read.
    let received = pipeline.broker.message("RAW", answer.sequence()).await.unwrap();
    let mut envelope = RawEnvelope::read(&Headers(&received.headers)).unwrap();
    envelope.id = proto::id::request_id(envelope.received_at, [9; 10]);
    envelope.provider = "no-such-provider".into();
    pipeline.broker.publish("raw.webhook.orders", &envelope.to_pairs(), "{}").await;
    pipeline.row("dead_letters", envelope.id).await;
    pipeline.settled().await;

    truncate(&pipeline).await;
    pipeline.command(&["replay"]).await;
    pipeline.settled().await;
    pipeline.row("messages", answer.id()).await;
    pipeline.row("dead_letters", envelope.id).await;
}

#[tokio::test]
async fn only_the_chosen_source_is_replayed() {
    let pipeline = Pipeline::by_hand(&config::with_sources(sources()), &Role::ALL).await;
    for n in 0..3 {
        pipeline.post(&Request::json("/v1/form/contact", format!(r#"{{"n": {n}}}"#))).await.accepted();
        pipeline.post(&Request::json("/v1/webhook/off", format!(r#"{{"n": {n}}}"#))).await.accepted();
    }
    pipeline.settled().await;
    truncate(&pipeline).await;
    pipeline.command(&["replay", "--source", "contact"]).await;
    pipeline.settled().await;
    pipeline.rows("contact", 3, 0).await;
    pipeline.rows("off", 0, 0).await;
}

/// What a row says, apart from when it was written.
fn reading(row: &Value) -> Value {
    let mut row = row.clone();
    for column in ["stored_at", "updated_at", "replay_sequence", "text", "normalizer_version"] {
        row.as_object_mut().unwrap().remove(column);
    }
    row
}

#[tokio::test]
async fn a_changed_normaliser_corrects_its_rows_in_place() {
    let orders = |text: &str| {
        let more = format!("secrets = [{{ value = \"{STANDARD}\" }}]\ntext_field = \"{text}\"");
        config::with_sources([config::source("webhook", "standard", "orders", &more)])
    };
    let mut pipeline = Pipeline::by_hand(&orders("old"), &Role::ALL).await;
    for n in 0..5 {
        let body = format!(r#"{{"old": "old {n}", "new": "new {n}"}}"#);
        pipeline.post(&standard_request(STANDARD, "orders", &format!("m{n}"), &body)).await.accepted();
    }
    let before = pipeline.rows("orders", 5, 0).await;
    assert_eq!(before[0]["text"], "old 0");
    pipeline.settled().await;

    std::fs::write(pipeline.config(), orders("new")).unwrap();
    pipeline.role(Role::Normalizer).stop(Duration::from_secs(30)).await;
    pipeline.role(Role::Normalizer).start_again();
    pipeline.role(Role::Normalizer).ready().await;
    pipeline.command(&["replay"]).await;
    pipeline.settled().await;
    let after = pipeline.rows("orders", 5, 0).await;
    for (n, (old, new)) in before.iter().zip(&after).enumerate() {
        assert_eq!(new["text"], format!("new {n}"), "{new:#}");
        assert_eq!(reading(old), reading(new), "the same row");
        assert!(new["replay_sequence"].as_i64().is_some() && new["updated_at"].is_string(), "{new:#}");
    }
}

/// A replay of a request that reads otherwise than before: the same headers, another body in its place. So every kind
/// of new reading can be had without another normaliser.
async fn read_otherwise(pipeline: &Pipeline, answer: &tests::Answer, subject: &str, run: &str, body: &str) {
    let message = pipeline.broker.message("RAW", answer.sequence()).await.unwrap();
    let envelope = RawEnvelope::read(&Headers(&message.headers)).unwrap();
    let mut pairs: Pairs = RawEnvelope { replay: Some(run.to_owned()), ..envelope }.to_pairs();
    pairs.push((header::RAW_SEQUENCE, answer.sequence().to_string()));
    pipeline.broker.publish(&format!("replay.{subject}"), &pairs, body.to_owned()).await;
    pipeline.settled().await;
}

#[tokio::test]
async fn a_record_that_a_new_reading_no_longer_yields_is_superseded() {
    let pipeline = Pipeline::by_hand(&config::with_sources(sources()), &Role::ALL).await;
    let answer = pipeline.post(&Request::json("/v1/form/contact", r#"[{"message": "1"}, {"message": "2"}]"#)).await;
    answer.accepted();
    pipeline.rows("contact", 2, 0).await;
    let superseded = async |expected: [bool; 2]| {
        let rows = pipeline.database.of_request("messages", answer.id()).await;
        let found: Vec<bool> = rows.iter().map(|row| row["superseded_at"].is_string()).collect();
        assert_eq!(found, expected, "{rows:#?}");
    };
    read_otherwise(&pipeline, &answer, "raw.form.contact", "one", r#"[{"message": "1"}]"#).await;
    superseded([false, true]).await;
    // And comes back with a reading that yields it.
    read_otherwise(&pipeline, &answer, "raw.form.contact", "both", r#"[{"message": "1"}, {"message": "2"}]"#).await;
    superseded([false, false]).await;
}

#[tokio::test]
async fn a_row_whose_kind_belongs_to_the_other_table_moves() {
    let pipeline = Pipeline::by_hand(&config::with_sources(sources()), &Role::ALL).await;
    let message = [("MessageSid", "SM7"), ("From", "+14155551438"), ("To", "+14155553237"), ("Body", "hi")];
    let answer = pipeline.post(&twilio_request(TWILIO, "texts", &message)).await;
    let row = pipeline.row("messages", answer.id()).await;
    assert_eq!(row["verified"], Verified::Yes.as_str());
    pipeline.settled().await;

    let status = tests::sign::urlencoded(&[("MessageSid", "SM7"), ("MessageStatus", "read"), ("To", "+14155553237")]);
    read_otherwise(&pipeline, &answer, "raw.sms.texts", "status", &status).await;
    let moved = pipeline.row("message_statuses", answer.id()).await;
    assert_eq!((&moved["id"], &moved["status"]), (&row["id"], &json!("read")));
    assert!(pipeline.database.of_request("messages", answer.id()).await.is_empty());

    let back = tests::sign::urlencoded(&message);
    read_otherwise(&pipeline, &answer, "raw.sms.texts", "message", &back).await;
    eventually(SOON, "the row has moved back", async || {
        let rows = pipeline.database.of_request("messages", answer.id()).await;
        let statuses = pipeline.database.of_request("message_statuses", answer.id()).await;
        ensure(rows.len() == 1 && statuses.is_empty(), || format!("{rows:#?} {statuses:#?}"))
    })
    .await;
}
