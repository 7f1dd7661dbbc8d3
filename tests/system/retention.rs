//! Rows that are kept for a shorter time than others: gone in time, by a reload, and nobody misses them.

use std::time::Duration;

use nix::sys::signal::Signal;
use proto::envelope::RawEnvelope;
use proto::subject::{self, SourceName};
use proto::{Channel, Millis, id};
use serde_json::{Value, json};
use tests::broker::Headers;
use tests::config::{self, COMMON, UNLIMITED};
use tests::eventually::{ensure, eventually};
use tests::{Pipeline, Request, Role};
use uuid::Uuid;

/// A persister that could not look tries again in a minute.
const SOON: Duration = Duration::from_mins(3);
const HOURS: i64 = 2 * 60 * 60 * 1000;

fn config(of_brief: &str) -> String {
    let sources = ["brief", "long"].map(|name| {
        let more = if name == "brief" { of_brief } else { "" };
        config::source("form", "generic", name, &format!("{UNLIMITED}\n{more}"))
    });
    config::with(&format!("{COMMON}\n[retention]\nraw = \"1h\"\nmessages = \"forever\"\n"), sources)
}

/// Takes in what a source has sent once more, as a request of two hours ago.
async fn of_old(pipeline: &Pipeline, source: &str, salt: u8) -> Uuid {
    let to = subject::raw(Channel::Form, &SourceName::parse(source).unwrap());
    let stored = pipeline.broker.last("RAW", &to).await.unwrap();
    let received_at = Millis::from_unix(tests::time::unix_millis() - HOURS).unwrap();
    let mut envelope = RawEnvelope::read(&Headers(&stored.headers)).unwrap();
    envelope.id = id::request_id(received_at, [salt; 10]);
    envelope.received_at = received_at;
    pipeline.broker.publish(&to, &envelope.to_pairs(), json!({ "message": "old" }).to_string()).await;
    envelope.id
}

#[tokio::test]
async fn rows_go_when_their_source_says_so_by_a_reload_and_the_audit_does_not_miss_them() {
    let mut pipeline = Pipeline::by_hand(&config(""), &Role::ALL).await;
    let form = |name: &str| Request::json(format!("/v1/form/{name}"), json!({ "message": "new" }).to_string());
    for (salt, name) in (1..).zip(["brief", "long"]) {
        pipeline.post(&form(name)).await.accepted();
        let old = of_old(&pipeline, name, salt).await;
        pipeline.row("messages", old).await;
    }
    pipeline.settled().await;
    // No row goes on the day on which it was stored.
    pipeline.database.execute("UPDATE messages SET stored_at = stored_at - interval '2 days'").await;

    let shown = async |pipeline: &Pipeline| {
        let output = pipeline.command(&["check", "--json"]).await;
        let sources: Value = serde_json::from_slice(&output.stdout).unwrap();
        sources["sources"][0]["properties"]["rows"].as_str().unwrap().to_owned()
    };
    assert_eq!(shown(&pipeline).await, "kept for ever");
    std::fs::write(pipeline.config(), config("retention = \"30m\"")).unwrap();
    let refused = pipeline.try_command(&["check"]).await;
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(64) && told.contains("expected a duration from 1h"), "{told}");
    std::fs::write(pipeline.config(), config("retention = \"1h\"")).unwrap();
    assert_eq!(shown(&pipeline).await, "kept for 1h (retention of the source)");

    pipeline.role(Role::Persister).child().signal(Signal::SIGHUP);
    eventually(SOON, "the old row of the source is gone", async || {
        let rows = pipeline.database.rows("messages", "brief").await;
        ensure(rows.len() == 1, || format!("{rows:#?}"))
    })
    .await;
    assert_eq!(pipeline.database.rows("messages", "brief").await[0]["text"], "new");
    assert_eq!(pipeline.database.rows("messages", "long").await.len(), 2, "it keeps its rows for ever");
    // Told at the end of a look, which goes on to other tables after this one.
    eventually(SOON, "the row is counted", async || {
        let metrics = pipeline.scrape(Role::Persister).await;
        let counted = metrics.sum("penstock_persister_deleted_rows_total", &[("table", "messages")]);
        ensure(counted == Some(1.0), || format!("{counted:?}"))
    })
    .await;

    let books = pipeline.command(&["audit", "--json"]).await;
    let books: Value = serde_json::from_slice(&books.stdout).unwrap();
    assert_eq!([&books["accepted"], &books["past_retention"], &books["missing"]], [4, 1, 0], "{books:#}");
}
