//! Every request that was accepted has ended, is on its way, or is missing: the audit says which, exactly. Each test that
//! finds nothing missing has its control here: what somebody threw away behind Penstock's back is named.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use tests::config::{self, STANDARD, TWILIO, UNLIMITED};
use tests::eventually::ensure;
use tests::role::RoleProcess;
use tests::scrape::Metrics;
use tests::sign::{standard_request, twilio_request};
use tests::{Pipeline, Request, Role, eventually};
use uuid::Uuid;

const SOON: Duration = Duration::from_mins(1);
/// Ten seconds behind, then two passes through the stages; and what was given back or killed comes again.
const AUDITED: Duration = Duration::from_mins(2);
const OFF: &str = "\n[persister]\naudit = \"off\"\n";

fn sources() -> Vec<String> {
    let twilio = format!("secrets = [{{ value = \"{TWILIO}\" }}]\n{UNLIMITED}");
    vec![
        config::signed("orders"),
        config::source("sms", "twilio", "texts", &twilio),
        config::source("form", "generic", "contact", UNLIMITED),
        config::source("webhook", "none", "plain", UNLIMITED),
    ]
}

fn plain(message: &str) -> Request {
    Request::json("/v1/webhook/plain", json!({ "message": message }).to_string())
}

/// What `penstock audit` says, and its exit code.
async fn audit(pipeline: &Pipeline, arguments: &[&str]) -> (Value, Option<i32>) {
    let output = pipeline.try_command(&[&["audit", "--json"], arguments].concat()).await;
    let told = String::from_utf8_lossy(&output.stderr);
    let books = serde_json::from_slice(&output.stdout).map_err(|error| format!("{error}: {}\n{told}", output.status));
    (books.unwrap(), output.status.code())
}

fn missing(books: &Value) -> BTreeSet<Uuid> {
    let missing = books["missing_requests"].as_array().unwrap().iter();
    missing.map(|request| request["request_id"].as_str().unwrap().parse().unwrap()).collect()
}

/// The sum of a metric over all persisters.
async fn metric(pipeline: &mut Pipeline, name: &str, labels: &[(&str, &str)]) -> Result<f64, String> {
    let persisters = pipeline.role_list().iter().filter(|process| process.role == Role::Persister);
    let urls: Vec<String> = persisters.map(RoleProcess::admin_url).collect();
    let mut sum = 0.0;
    for url in urls {
        if let Ok(metrics) = Metrics::of(&url).await {
            sum += metrics.sum(name, labels).ok_or_else(|| format!("{name} is not exported"))?;
        }
    }
    Ok(sum)
}

async fn metric_becomes(pipeline: &mut Pipeline, name: &str, labels: &[(&str, &str)], expected: f64) {
    let what = format!("{name}{labels:?} is {expected} (logs: {})", pipeline.logs().display());
    eventually(AUDITED, &what, async || {
        let found = metric(pipeline, name, labels).await?;
        ensure((found - expected).abs() < 0.5, || format!("it is {found}"))
    })
    .await;
}

const MISSING: &str = "penstock_audit_missing_requests";
const IN_FLIGHT: &str = "penstock_audit_in_flight_requests";
const FOUND: &str = "penstock_audit_requests_total";

#[tokio::test]
async fn the_books_are_exact_whatever_became_of_the_requests() {
    let mut pipeline = Pipeline::by_hand(&config::with_sources(sources()), &Role::ALL).await;
    let constraint = "ALTER TABLE messages ADD CONSTRAINT canary CHECK (text IS DISTINCT FROM 'poison')";
    pipeline.database.execute(constraint).await;
    // Rows and repeats of them.
    for number in 0..40 {
        let id = format!("m{}", number % 25);
        let body = format!(r#"{{"message": "{id}"}}"#);
        pipeline.post(&standard_request(STANDARD, "orders", &id, &body)).await.accepted();
    }
    // Many records in one request, one of which is none.
    for _ in 0..3 {
        pipeline
            .post(&Request::json("/v1/form/contact", r#"[{"message": "1"}, 5, {"message": "2"}]"#))
            .await
            .accepted();
    }
    let status = [("MessageSid", "SM2"), ("From", "+14155551438"), ("To", "+14155553237"), ("MessageStatus", "sent")];
    assert_eq!(pipeline.post(&twilio_request(TWILIO, "texts", &status)).await.status, 200);
    pipeline.post(&plain("poison")).await.accepted();
    // Somebody else's, which nobody was told is accepted.
    pipeline.broker.publish("raw.webhook.plain", &vec![], "stray").await;

    let (books, code) = audit(&pipeline, &["--wait", "1m"]).await;
    assert_eq!(code, Some(0), "{books:#}");
    assert_eq!(
        (&books["exact"], &books["accepted"], &books["ended"]),
        (&json!(true), &json!(45), &json!(45)),
        "{books:#}"
    );
    assert_eq!((&books["in_flight"], &books["missing"], &books["not_ours"]), (&json!(0), &json!(0), &json!(1)));
    for (table, records) in [
        ("messages", "messages"),
        ("message_statuses", "statuses"),
        ("duplicates", "repeats"),
        ("dead_letters", "dead_letters"),
    ] {
        let nobodys =
            if table == "dead_letters" { " WHERE request_id <> '00000000-0000-0000-0000-000000000000'" } else { "" };
        let counted = pipeline.database.number(&format!("SELECT count(*) FROM {table}{nobodys}")).await;
        assert_eq!(books["records"][records].as_i64(), Some(counted), "{table}: {books:#}");
    }
    assert!(books["records"]["repeats"].as_u64().unwrap() >= 15, "{books:#}");
    let of = |source: &str| {
        books["sources"].as_array().unwrap().iter().find(|found| found["source"] == source).unwrap().clone()
    };
    assert_eq!((of("orders")["accepted"].clone(), of("contact")["accepted"].clone()), (json!(40), json!(3)));
    let (part, _) = audit(&pipeline, &["--channel", "sms", "--since", "1h"]).await;
    assert_eq!((&part["accepted"], &part["records"]["statuses"]), (&json!(1), &json!(1)), "{part:#}");

    // And the one that runs all the time says the same.
    metric_becomes(&mut pipeline, FOUND, &[("outcome", "accounted")], 45.0).await;
    metric_becomes(&mut pipeline, FOUND, &[("outcome", "not_ours")], 1.0).await;
    metric_becomes(&mut pipeline, IN_FLIGHT, &[], 0.0).await;
    assert_eq!(metric(&mut pipeline, MISSING, &[]).await, Ok(0.0));
    let left = pipeline.broker.consumer("RAW", "audit").await.unwrap();
    assert_eq!((&left["num_pending"], &left["num_ack_pending"]), (&json!(0), &json!(0)), "{left:#}");
}

#[tokio::test]
async fn what_somebody_threw_away_is_named_and_a_replay_heals_it() {
    let settings = format!("{}{OFF}", config::COMMON);
    let mut pipeline = Pipeline::by_hand(&config::with(&settings, sources()), &Role::ALL).await;
    let before = pipeline.post(&plain("before")).await.accepted();
    pipeline.row("messages", before).await;

    // A record, between two stages.
    pipeline.role(Role::Dedup).stop(SOON).await;
    let record = pipeline.post(&plain("a record")).await.accepted();
    eventually(SOON, "the record is in CANONICAL", async || {
        let state = pipeline.broker.stream("CANONICAL").await["state"].clone();
        ensure(state["last_seq"] == 2, || state.to_string())
    })
    .await;
    // With the one before it, if that is not trimmed yet: it is processed.
    assert!(pipeline.broker.purge("CANONICAL", "canonical.webhook.plain").await > 0);
    pipeline.role(Role::Dedup).start_again();
    // A request, by somebody who reads the normalizer's consumer.
    pipeline.role(Role::Normalizer).stop(SOON).await;
    let request = pipeline.post(&plain("a request")).await;
    let taken = eventually(SOON, "somebody takes it", async || pipeline.broker.take("RAW", "normalizer-webhook").await);
    assert_eq!(taken.await, request.sequence());
    let request = request.accepted();
    pipeline.role(Role::Normalizer).start_again();
    // A row with its key.
    let row = pipeline.post(&plain("a row")).await.accepted();
    let key = pipeline.row("messages", row).await["dedup_key"].clone();
    pipeline.database.execute(&format!("DELETE FROM messages WHERE request_id = '{row}'")).await;
    pipeline.database.execute(&format!("DELETE FROM message_keys WHERE dedup_key = '{}'", key.as_str().unwrap())).await;
    // One of several records.
    let several = Request::json("/v1/form/contact", r#"[{"message": "1"}, {"message": "2"}, {"message": "3"}]"#);
    let several = pipeline.post(&several).await.accepted();
    eventually(SOON, "its records are rows", async || {
        let rows = pipeline.database.of_request("messages", several).await.len();
        ensure(rows == 3, || format!("{rows} rows"))
    })
    .await;
    pipeline.database.execute(&format!("DELETE FROM messages WHERE request_id = '{several}' AND part = 1")).await;
    let after = pipeline.post(&plain("after")).await.accepted();
    pipeline.row("messages", after).await;
    pipeline.settled().await;

    let thrown_away = BTreeSet::from([record, request, row, several]);
    let (books, code) = audit(&pipeline, &["--wait", "1m"]).await;
    assert_eq!((code, missing(&books)), (Some(1), thrown_away.clone()), "{books:#}");
    assert_eq!(
        (&books["accepted"], &books["ended"], &books["in_flight"]),
        (&json!(6), &json!(2), &json!(0)),
        "{books:#}"
    );
    let lacking =
        books["missing_requests"].as_array().unwrap().iter().find(|found| found["request_id"] == several.to_string());
    assert_eq!(lacking.unwrap()["parts"], json!([1]), "{books:#}");
    let output = pipeline.try_command(&["audit"]).await;
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains("6 accepted = 2 ended + 0 in flight + 4 missing") && text.contains(&row.to_string()),
        "{text}"
    );

    // The one that runs all the time finds the same, and remembers it over a change of processes.
    let on = std::fs::read_to_string(pipeline.config()).unwrap().replace(OFF, "");
    std::fs::write(pipeline.config(), on).unwrap();
    pipeline.role(Role::Persister).stop(SOON).await;
    pipeline.role(Role::Persister).start_again();
    metric_becomes(&mut pipeline, MISSING, &[], 4.0).await;
    assert_eq!(metric(&mut pipeline, FOUND, &[("outcome", "missing")]).await, Ok(4.0));
    let log = pipeline.role(Role::Persister).child().log();
    for id in &thrown_away {
        assert!(log.contains(&format!("penstock replay --id {id}")), "{log}");
    }
    pipeline.start_role(Role::Persister).await;
    pipeline.role(Role::Persister).stop(SOON).await;
    metric_becomes(&mut pipeline, MISSING, &[], 4.0).await;

    for id in &thrown_away {
        pipeline.command(&["replay", "--id", &id.to_string()]).await;
    }
    let (books, code) = audit(&pipeline, &["--wait", "1m"]).await;
    assert_eq!((code, &books["missing"], &books["ended"]), (Some(0), &json!(0), &json!(6)), "{books:#}");
    metric_becomes(&mut pipeline, MISSING, &[], 0.0).await;
    metric_becomes(&mut pipeline, FOUND, &[("outcome", "found")], 4.0).await;
}

#[tokio::test]
async fn what_waits_for_a_stage_is_in_flight_there_and_never_missing() {
    let mut pipeline = Pipeline::by_hand(&config::with_sources(sources()), &Role::ALL).await;
    let before = pipeline.post(&plain("before")).await.accepted();
    pipeline.row("messages", before).await;
    for (number, (role, stage)) in [(Role::Normalizer, "normalizer"), (Role::Dedup, "dedup")].into_iter().enumerate() {
        pipeline.role(role).stop(SOON).await;
        for message in 0..3 {
            pipeline.post(&plain(&format!("{stage} {message}"))).await.accepted();
        }
        eventually(SOON, &format!("three wait at {stage}"), async || {
            let (books, code) = audit(&pipeline, &[]).await;
            assert_eq!((code, &books["missing"]), (Some(0), &json!(0)), "{books:#}");
            ensure(books["in_flight"] == 3 && books["in_flight_at"][stage] == 3, || books.to_string())
        })
        .await;
        // However long it takes.
        eventually(AUDITED, "the audit has looked for them for long", async || {
            assert!(metric(&mut pipeline, MISSING, &[]).await? < 0.5);
            let age = metric(&mut pipeline, "penstock_audit_age_seconds", &[]).await?;
            ensure(age > 40.0, || format!("{age} s"))
        })
        .await;
        metric_becomes(&mut pipeline, IN_FLIGHT, &[], 3.0).await;
        let (_, code) = audit(&pipeline, &["--wait", "1s"]).await;
        assert_eq!(code, Some(1), "waited for in vain");

        pipeline.role(role).start_again();
        let (books, code) = audit(&pipeline, &["--wait", "1m"]).await;
        let ended = json!(4 + 3 * number);
        assert_eq!((code, &books["in_flight"], &books["ended"]), (Some(0), &json!(0), &ended), "{books:#}");
        metric_becomes(&mut pipeline, IN_FLIGHT, &[], 0.0).await;
    }
    assert_eq!(metric(&mut pipeline, FOUND, &[("outcome", "missing")]).await, Ok(0.0));
    metric_becomes(&mut pipeline, FOUND, &[("outcome", "accounted")], 7.0).await;
}

#[tokio::test]
async fn without_its_consumer_a_persister_does_its_work_and_says_that_nobody_audits() {
    let mut pipeline = Pipeline::by_hand(&config::with_sources(sources()), &Role::ALL).await;
    metric_becomes(&mut pipeline, "penstock_audit_running", &[], 1.0).await;
    pipeline.role(Role::Persister).stop(SOON).await;
    // As where the streams were provisioned by an older version.
    pipeline.broker.api("CONSUMER.DELETE.RAW.audit", json!({})).await.unwrap();
    pipeline.role(Role::Persister).start_again();
    pipeline.role(Role::Persister).ready().await;
    let request = pipeline.post(&plain("before")).await.accepted();
    pipeline.row("messages", request).await;
    assert_eq!(metric(&mut pipeline, "penstock_audit_running", &[]).await, Ok(0.0));

    pipeline.command(&["provision"]).await;
    metric_becomes(&mut pipeline, "penstock_audit_running", &[], 1.0).await;
    metric_becomes(&mut pipeline, FOUND, &[("outcome", "accounted")], 1.0).await;
}
