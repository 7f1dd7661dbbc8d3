//! The operator's command, as somebody who runs it sees it.

use std::process::Output;
use std::time::Duration;

use nix::sys::signal::Signal;
use proto::envelope::Pairs;
use proto::subject::{self, SourceName};
use proto::{Channel, DeadLetterEnvelope, Millis, RawEnvelope, Stage, Verified, id};
use serde_json::Value;
use tests::eventually::ensure;
use tests::{Pipeline, Request, Role, binary, config, eventually};

use crate::shared;

const SOON: Duration = Duration::from_mins(1);
/// A bench that waits for a delivery to be given up on, and some.
const BENCH: Duration = Duration::from_mins(2);

/// A command that is told nothing but the folder of `penstock up`, from a folder without a configuration.
async fn told_only_the_folder(pipeline: &Pipeline, arguments: &[&str]) -> Output {
    let elsewhere = tempfile::tempdir().unwrap();
    let mut command = tokio::process::Command::new(binary::penstock());
    command.args(arguments).arg("--data-dir").arg(pipeline.up().folder().join("data"));
    command.current_dir(elsewhere.path()).kill_on_drop(true);
    tokio::time::timeout(SOON, command.output()).await.expect("it ends by itself").unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test]
async fn commands_use_the_configuration_that_up_runs_with() {
    let pipeline = shared::pipeline().await;
    for arguments in [&["check"][..], &["send", "by-content"], &["held", "list"]] {
        let output = told_only_the_folder(&pipeline, arguments).await;
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", said(&output));
    }
}

#[tokio::test]
async fn dlq_commands_go_on_until_nothing_is_left() {
    const ENTRIES: usize = 2_345;
    let mut pipeline = Pipeline::by_hand(&config::with_sources([config::signed("orders")]), &[]).await;
    pipeline.may_be_unsettled();
    let received_at = Millis::from_unix(tests::time::unix_millis()).unwrap();
    for number in 0..u32::try_from(ENTRIES).unwrap() {
        let mut random = [7; 10];
        random[..4].copy_from_slice(&number.to_be_bytes());
        let request = id::request_id(received_at, random);
        let source = SourceName::parse("orders").unwrap();
        let letter = DeadLetterEnvelope {
            stage: Stage::Normalizer,
            record: id::record_id(received_at, request, 0),
            part: 0,
            request_id: request,
            received_at,
            channel: Channel::Webhook,
            source: source.clone(),
            reason: "not_json".into(),
            detail: "the body is called JSON and is not".into(),
        };
        let raw = RawEnvelope {
            id: request,
            received_at,
            method: "POST".into(),
            query: None,
            provider: "standard".into(),
            verified: Verified::Yes,
            headers: Vec::new(),
            body: None,
            replay: None,
            traceparent: None,
        };
        let pairs: Pairs = raw.to_pairs().into_iter().chain(letter.to_pairs()).collect();
        let to = subject::dead_letter(Stage::Normalizer, Channel::Webhook, &source, letter.record);
        pipeline.broker.publish(&to, &pairs, "not json").await;
    }

    let output = pipeline.command(&["dlq", "list", "--limit", "3000", "--json"]).await;
    let listed: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(listed.len(), ENTRIES);
    let output = pipeline.command(&["dlq", "replay", "--reason", "not_json", "--dry-run"]).await;
    assert!(said(&output).contains("2,345 entries would be sent"), "{}", said(&output));
    // What there is more than asked for is said, also to a program.
    let output = pipeline.command(&["dlq", "list", "--limit", "2344", "--json"]).await;
    assert!(String::from_utf8_lossy(&output.stderr).contains("more than 2344"), "{}", said(&output));
}

#[tokio::test]
async fn an_entry_whose_row_is_gone_is_still_seen_to_have_its_ending() {
    let source = config::source("webhook", "none", "orders", config::UNLIMITED);
    let pipeline = Pipeline::by_hand(&config::with_sources([source]), &Role::ALL).await;
    let constraint = "ALTER TABLE messages ADD CONSTRAINT canary CHECK (text IS DISTINCT FROM 'poison')";
    pipeline.database.execute(constraint).await;
    let request = Request::json("/v1/webhook/orders", r#"{"message": "poison"}"#.to_owned());
    let request = pipeline.post(&request).await.accepted();
    pipeline.row("dead_letters", request).await;
    pipeline.settled().await;
    pipeline.database.execute("ALTER TABLE messages DROP CONSTRAINT canary").await;
    pipeline.database.execute("TRUNCATE dead_letters").await;

    pipeline.command(&["dlq", "replay", "--all", "--wait", "20s"]).await;
    pipeline.row("messages", request).await;
    assert_eq!(pipeline.broker.count("DLQ", "dlq.>").await, 0, "it is taken out");
}

#[tokio::test]
async fn a_bench_is_exact_only_when_nothing_is_in_anybodys_hands() {
    let sources = [config::signed("orders"), config::source("webhook", "none", "other", config::UNLIMITED)];
    let mut pipeline = Pipeline::by_hand(&config::with_sources(sources), &Role::ALL).await;
    // Frozen with a request in its hands, and gone: nobody has that before the broker gives up waiting.
    pipeline.role(Role::Normalizer).child().signal(Signal::SIGSTOP);
    pipeline.post(&Request::json("/v1/webhook/other", r#"{"message": "late"}"#.to_owned())).await.accepted();
    eventually(SOON, "the request is in hand", async || {
        let info = pipeline.broker.consumer("RAW", "normalizer-webhook").await?;
        ensure(info["num_ack_pending"].as_u64() == Some(1), || info.to_string())
    })
    .await;
    pipeline.role(Role::Normalizer).kill();
    pipeline.role(Role::Normalizer).start_again();
    pipeline.role(Role::Normalizer).ready().await;

    let gateway = pipeline.gateways()[0].clone();
    let mut command = tokio::process::Command::new(binary::penstock());
    command.args(["bench", "--verify", "--source", "orders", "--rate", "20", "--duration", "500ms", "--warmup", "0s"]);
    command.args(["--connections", "2", "--drain", "30s", "--gateway", &gateway]);
    command.arg("--config").arg(pipeline.config()).envs(pipeline.environment()).kill_on_drop(true);
    let output = tokio::time::timeout(BENCH, command.output()).await.expect("it ends by itself").unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let left = pipeline.broker.backlog().await;
    assert!(left.is_ok(), "it was exact too early: {left:?}\n{}", said(&output));
}

#[tokio::test]
async fn explain_names_the_records_of_a_request_that_have_no_ending() {
    let pipeline = shared::pipeline().await;
    let request = Request::json("/v1/webhook/bytes", r#"{"message": "one of three"}"#.to_owned());
    let request = pipeline.post(&request).await.accepted();
    let row = pipeline.row("messages", request).await;
    // As if the normalizer had found three records in it, and lost two.
    pipeline.database.execute(&format!("UPDATE messages SET parts = 3 WHERE request_id = '{request}'")).await;
    let output = told_only_the_folder(&pipeline, &["explain", &request.to_string()]).await;
    let text = said(&output);
    let received_at: Millis = row["received_at"].as_str().unwrap().parse().unwrap();
    for part in [1, 2] {
        assert!(text.contains(&format!("{} (part {part})", id::record_id(received_at, request, part))), "{text}");
    }
    assert!(text.contains("stored as a row of messages"), "{text}");
}
