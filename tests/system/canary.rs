//! Marked strings through everything: in every secret, in all that a person writes or is called, in what is well and in
//! what is not. Afterwards no log, metric, error, header or command may hold one, and no store a secret.
//!
//! What a reader would get wrong: a store does hold what people wrote. That is looked for too, so that a search that
//! finds nothing is known to be able to find something.

mod configuration;
mod marks;
mod samples;
mod traffic;

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;
use tests::eventually::ensure;
use tests::{Pipeline, Request, Role, child, eventually};
use uuid::Uuid;

use self::marks::{Marks, PERSON};
use crate::providers;

const SOON: Duration = Duration::from_mins(1);
/// Where rows are, `dlq show` and `explain` look, and an application reads.
const TABLES: [&str; 5] = ["messages", "message_statuses", "duplicates", "dead_letters", "message_keys"];

/// What was said, and where.
#[derive(Default)]
struct Said(Vec<(String, String)>);

impl Said {
    fn add(&mut self, place: impl Into<String>, text: impl Into<String>) {
        self.0.push((place.into(), text.into()));
    }

    /// Every line with a mark.
    fn leaks(&self, marks: &Marks) -> String {
        self.0.iter().fold(String::new(), |mut leaks, (place, text)| {
            for line in marks.lines(text).into_iter().take(3) {
                writeln!(leaks, "{place}: {line:.600}").unwrap();
            }
            leaks
        })
    }
}

/// Sends the marked samples of every provider, signed; every one becomes rows.
async fn send_samples(pipeline: &Pipeline, said: &mut Said) -> Vec<Uuid> {
    let (mut ids, folder) = (Vec::new(), tempfile::tempdir().unwrap());
    for (adapter, sample) in providers::samples() {
        let marked = samples::marked(&sample);
        let file = folder.path().join("body");
        std::fs::write(&file, &marked.body).unwrap();
        let mut arguments = vec!["send".to_owned(), providers::source(&adapter), "--json".to_owned()];
        let (what, of) = match &*marked.body {
            "" => ("--sample", sample.clone()),
            _ => ("--file", file.display().to_string()),
        };
        arguments.extend([what.to_owned(), of]);
        arguments.extend(["--url".to_owned(), pipeline.gateways()[0].clone()]);
        arguments.extend(marked.query.into_iter().flat_map(|query| ["--query".to_owned(), query]));
        let headers =
            marked.headers.into_iter().chain(traffic::headers().map(|(name, value)| (name.to_owned(), value)));
        for (name, value) in headers.chain([("X-Forwarded-For".to_owned(), traffic::address())]) {
            arguments.extend(["--header".to_owned(), format!("{name}: {value}")]);
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let output = pipeline.command(&arguments).await;
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(answer["status"], 200, "{adapter} {sample}: {answer:#}");
        ids.push(answer["id"].as_str().unwrap().parse().unwrap());
        said.add(format!("send {adapter} {sample}"), answer.to_string());
    }
    ids
}

/// Posts what is well and what is not.
async fn post_all(pipeline: &Pipeline, said: &mut Said) -> Vec<Uuid> {
    let mut ids = Vec::new();
    for request in traffic::accepted().into_iter().chain(traffic::refused()) {
        let place = format!("the answer to {} {:.80}", request.method, request.path);
        // The gateway may cut off what is too large.
        match traffic::marked(request).send(&pipeline.gateways()[0]).await {
            Ok(answer) => {
                ids.extend(answer.header("Penstock-Stored").map(|_| answer.id()));
                said.add(place, answer.to_string());
            }
            Err(error) => said.add(place, error.to_string()),
        }
    }
    assert!(ids.len() > 8, "most of what is to be stored is: {ids:?}");
    for answer in traffic::garbage(pipeline).await {
        said.add("the answer to garbage", answer);
    }
    ids
}

async fn ask_the_roles(pipeline: &Pipeline, said: &mut Said) {
    for role in Role::ALL {
        for path in ["/livez", "/readyz", "/health", "/metrics", "/version", &format!("/{PERSON}")] {
            let answer = Request::get(path).send(&pipeline.admin_url(role)).await.unwrap();
            said.add(format!("{path} of the {}", role.name()), answer.to_string());
        }
    }
}

async fn command(pipeline: &Pipeline, said: &mut Said, arguments: &[&str]) {
    let output = pipeline.try_command(arguments).await;
    for text in [&output.stdout, &output.stderr] {
        said.add(format!("penstock {}", arguments.join(" ")), String::from_utf8_lossy(text));
    }
}

fn read_logs(pipeline: &Pipeline, said: &mut Said) {
    let folders = [pipeline.logs(), pipeline.up().folder().to_owned()];
    let entries = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap());
    let logs: Vec<_> =
        entries.map(|entry| entry.unwrap().path()).filter(|path| path.to_string_lossy().contains(".log")).collect();
    assert!(logs.len() >= 7, "of four roles, two servers and `up`: {logs:?}");
    for path in logs {
        said.add(path.file_name().unwrap().to_string_lossy(), child::read(&path));
    }
}

/// Has every role read a wrong file; none of them says what the secret near the mistake is.
async fn reload_wrong_files(pipeline: &Pipeline, right: &str, said: &mut Said) {
    let refused =
        async || pipeline.scrape(Role::Gateway).await.sum("penstock_config_reloads_total", &[("result", "refused")]);
    for (number, wrong) in configuration::wrong(right).into_iter().enumerate() {
        assert_ne!(wrong, right, "file {number} is wrong");
        std::fs::write(pipeline.config(), wrong).unwrap();
        command(pipeline, said, &["check"]).await;
        let output = pipeline.try_command(&["held", "list"]).await;
        said.add("held list", String::from_utf8_lossy(&output.stderr));
        let before = refused().await;
        for role in Role::ALL {
            child::send(pipeline.run().pids.roles.of(role)[0], Signal::SIGHUP);
        }
        eventually(SOON, &format!("file {number} is refused"), async || {
            let now = refused().await;
            ensure(now > before, || format!("{now:?}"))
        })
        .await;
    }
    std::fs::write(pipeline.config(), right).unwrap();
}

/// What an operator asks for who does not want to see what somebody sent.
async fn ask_with_commands(pipeline: &Pipeline, said: &mut Said, ids: &[Uuid]) {
    for arguments in [
        &["check"][..],
        &["check", "--json"],
        &["status"],
        &["held", "list"],
        &["held", "list", "--json"],
        &["dlq", "list"],
        &["dlq", "list", "--json"],
        &["audit"],
        &["audit", "--json"],
        &["dlq", "replay", "--all", "--dry-run"],
        &["held", "release", "--all"],
    ] {
        command(pipeline, said, arguments).await;
    }
    for id in ids {
        command(pipeline, said, &["explain", &id.to_string()]).await;
    }
}

#[tokio::test]
async fn nothing_says_a_secret_or_what_somebody_sent_and_no_store_holds_a_secret() {
    let mut adapters: Vec<String> = providers::samples().into_iter().map(|(adapter, _)| adapter).collect();
    adapters.dedup();
    let right = configuration::whole(adapters.iter().map(String::as_str));
    let mut pipeline = Pipeline::start(&right).await;
    pipeline.may_be_unsettled();
    let data = pipeline.up().folder().join("data");
    let constraint =
        format!("ALTER TABLE messages ADD CONSTRAINT canary CHECK (text NOT LIKE '%{}%')", traffic::REFUSED);
    pipeline.database.execute(&constraint).await;

    let mut said = Said::default();
    let mut ids = send_samples(&pipeline, &mut said).await;
    ids.extend(post_all(&pipeline, &mut said).await);
    traffic::strays(&pipeline).await;
    pipeline.settled().await;
    let stages = pipeline.database.number("SELECT count(DISTINCT stage) FROM dead_letters").await;
    assert_eq!(stages, 3, "every stage but the gateway has given up on something");

    ask_with_commands(&pipeline, &mut said, &ids[..4]).await;
    ask_the_roles(&pipeline, &mut said).await;
    reload_wrong_files(&pipeline, &right, &mut said).await;
    read_logs(&pipeline, &mut said);

    let (people, secrets) = (Marks::of_people(), Marks::of_secrets(&data));
    // What an operator asks to see of a message is what somebody sent, and none the less no credential.
    let mut shown = Said::default();
    for row in pipeline.database.rows("dead_letters", "webhook-none").await {
        command(&pipeline, &mut shown, &["dlq", "show", row["id"].as_str().unwrap(), "--payload"]).await;
    }
    assert!(!shown.leaks(&people).is_empty(), "a payload is shown");
    let leaks = said.leaks(&people) + &said.leaks(&secrets) + &shown.leaks(&secrets);
    assert!(leaks.is_empty(), "{leaks}");
    stores(&pipeline, &data, &people, &secrets).await;
}

/// What is stored is what somebody sent, and never what only we know.
async fn stores(pipeline: &Pipeline, data: &Path, people: &Marks, secrets: &Marks) {
    for table in TABLES {
        let rows = pipeline.database.content(table).await.join("\n");
        let found = secrets.lines(&rows);
        assert!(found.is_empty(), "{table}: {:.1000}", found[0]);
    }
    pipeline.database.execute("CHECKPOINT").await;
    for folder in ["nats", "postgres"] {
        let folder = data.join(folder);
        assert!(!people.files(&folder).is_empty(), "what somebody sent is not found in {}", folder.display());
        let found = secrets.files(&folder);
        assert!(found.is_empty(), "a secret is in {found:?}");
    }
}
