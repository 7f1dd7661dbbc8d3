//! What is wrong with a configuration is said at once, with its place; a reload loses no request.

use std::net::TcpListener;
use std::process::{Command, Output};
use std::time::Duration;

use nix::sys::signal::Signal;
use tests::config::{self, STANDARD};
use tests::eventually::ensure;
use tests::ledger::{Findings, Outcome};
use tests::load::Load;
use tests::mix::{Kind, Mix};
use tests::random::Random;
use tests::sign::standard_request;
use tests::{Pipeline, Request, Role, binary, eventually};

use crate::shared;

const SOON: Duration = Duration::from_secs(30);

const WRONG: &str = r#"[gateway]
listen = "everywhere"
limits = { address = { per_second = "x" } }

[dedup]
windw = "8d"
hash_key = { value = "k" }

[[sources]]
name = "Not A Name"
channel = "pigeon"
provider = "standard"

[[sources]]
name = "twice"
channel = "webhook"
provider = "none"

[[sources]]
name = "twice"
channel = "webhook"
provider = "none"
"#;

/// A command that is expected to end by itself, told of a server that is not there.
async fn penstock(role: &str, config: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("penstock.toml");
    std::fs::write(&path, config).unwrap();
    let mut command = tokio::process::Command::new(binary::penstock());
    command.arg(role).arg("--config").arg(&path).kill_on_drop(true);
    command.env("PENSTOCK__NATS__URL", "nats://127.0.0.1:9").env("PENSTOCK__POSTGRES__URL", "postgres://127.0.0.1:9/x");
    tokio::time::timeout(SOON, command.output()).await.expect("it ends by itself").unwrap()
}

#[tokio::test]
async fn all_problems_are_told_at_once_with_file_and_line_and_exit_code_64() {
    for role in ["gateway", "normalizer", "dedup", "persister", "provision", "migrate"] {
        let output = penstock(role, WRONG).await;
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(64), "{role}: {told}");
        for line in [2, 3, 6, 10, 11, 20] {
            assert!(told.contains(&format!("penstock.toml:{line}:")), "{role}: line {line} is missing in\n{told}");
        }
        assert!(told.contains("window"), "{role}: what was meant by windw? {told}");
    }
}

#[tokio::test]
async fn a_file_that_is_no_toml_or_not_there_is_exit_code_64() {
    let output = penstock("gateway", "[gateway\nlisten = 1").await;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(64), "{told}");
    assert!(told.contains("penstock.toml:1:"), "{told}");

    let mut command = Command::new(binary::penstock());
    let output = command.args(["gateway", "--config", "/nowhere/penstock.toml"]).output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nowhere/penstock.toml"));
}

/// With the secrets that its script makes, in the place of those of the machine that it is for.
#[test]
fn what_is_shipped_for_containers_and_for_kubernetes_can_be_used() {
    let deploy = binary::root().join("deploy");
    let database = "db.example.com:5432/penstock?sslmode=verify-full";
    for (file, mounted, arguments) in [
        ("config/penstock.toml", "/run/secrets", [].as_slice()),
        ("config/penstock.toml", "/run/secrets", &["--cluster"]),
        ("kubernetes/penstock.toml", "/run/penstock", &["--kubernetes", database]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut script = Command::new(deploy.join("make-secrets.sh"));
        let made = script.args(arguments).env("PENSTOCK_SECRETS", folder.path()).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        std::fs::copy(folder.path().join("nats-url-admin"), folder.path().join("nats-url")).unwrap();
        let text = std::fs::read_to_string(deploy.join(file)).unwrap();
        assert!(text.contains(mounted), "{file}");
        let config = folder.path().join("penstock.toml");
        std::fs::write(&config, text.replace(mounted, folder.path().to_str().unwrap())).unwrap();
        let checked =
            Command::new(binary::penstock()).args(["check", "--json", "--config"]).arg(&config).output().unwrap();
        assert!(checked.status.success(), "{file}: {}", String::from_utf8_lossy(&checked.stderr));
        let told: serde_json::Value = serde_json::from_slice(&checked.stdout).unwrap();
        assert_eq!(told["only_for_up"], serde_json::json!([]), "{file}: what a deployment needs is there");
        assert_eq!(told["sources"].as_array().unwrap().len(), 2, "{file}");
    }
}

#[tokio::test]
async fn a_secret_that_is_not_there_is_named_and_one_that_is_there_is_not_shown() {
    let source = "name = \"a\"\nchannel = \"webhook\"\nprovider = \"standard\"\n\
        secrets = [{ env = \"NO_SUCH_VARIABLE\" }, { file = \"/nowhere/secret\" }, { value = \"whsec_hush-hush\" }]";
    let output = penstock("gateway", &config::with_sources([source])).await;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(64), "{told}");
    assert!(told.contains("NO_SUCH_VARIABLE") && told.contains("/nowhere/secret"), "{told}");
    assert!(!told.contains("hush-hush"), "{told}");
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let pipeline = shared::pipeline().await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, free) = (taken.local_addr().unwrap().to_string(), tests::ports::free_address());
    for role in Role::ALL {
        let mut settings = vec![("ADMIN", &address)];
        if role == Role::Gateway {
            settings = vec![("ADMIN", &free), ("LISTEN", &address)];
        }
        let mut command = tokio::process::Command::new(binary::penstock());
        command.arg(role.name()).arg("--config").arg(pipeline.config()).envs(pipeline.environment()).kill_on_drop(true);
        for (key, value) in settings {
            command.env(format!("PENSTOCK__{}__{key}", role.name().to_uppercase()), value);
        }
        let output = tokio::time::timeout(SOON, command.output()).await.expect("it ends by itself").unwrap();
        let told = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
        assert!(!output.status.success() && told.contains(&address), "{}: {told}", role.name());
    }
}

#[tokio::test]
async fn a_reload_says_by_name_what_takes_a_restart_and_the_rest_is_in_force() {
    let large = |max_body: &str| {
        config::source("webhook", "none", "large", &format!("max_body = \"{max_body}\"\n{}", config::UNLIMITED))
    };
    let gateway = |settings: &str| config::COMMON.replace("[gateway]\n", &format!("[gateway]\n{settings}\n"));
    let before = gateway("body_budget = \"1 MiB\"");
    let after = gateway("body_budget = \"8 MiB\"\nmax_connections = 99\npublish_timeout = \"2s\"");
    let mut pipeline = Pipeline::by_hand(&config::with(&before, [large("1 KiB")]), &Role::ALL).await;
    let message = Request::json("/v1/webhook/large", format!(r#"{{"message": "{}"}}"#, "x".repeat(2 << 20)));
    pipeline.post(&message).await.problem(413);

    std::fs::write(pipeline.config(), config::with(&after, [large("4 MiB")])).unwrap();
    pipeline.role(Role::Gateway).child().signal(Signal::SIGHUP);
    // A body that fits the new budget only.
    let answer = eventually(SOON, "the new size is taken", async || {
        let answer = pipeline.post(&message).await;
        ensure(answer.status == 200, || answer.to_string()).map(|()| answer)
    })
    .await;
    pipeline.row("messages", answer.accepted()).await;

    let log = pipeline.role(Role::Gateway).child().log();
    let told: Vec<&str> = log.lines().filter(|line| line.contains("take a restart")).collect();
    assert_eq!(told.len(), 1, "{told:#?}");
    for (setting, is_told) in [
        ("gateway.max_connections", true),
        ("gateway.publish_timeout", true),
        ("gateway.body_budget", false),
        ("gateway.listen", false),
    ] {
        assert_eq!(told[0].contains(setting), is_told, "{setting}: {}", told[0]);
    }
}

#[tokio::test]
async fn a_reload_adds_a_source_without_losing_a_request_and_a_bad_file_changes_nothing() {
    let mut random = Random::seeded("reload");
    let mut pipeline = Pipeline::by_hand(&config::with_sources([config::signed("orders")]), &Role::ALL).await;
    let load = Load::start(&pipeline.gateways(), &Mix::only(Kind::Webhook), 2, &mut random);
    load.more(10, SOON).await;
    let added = |n: u32| standard_request(STANDARD, "added", &format!("m{n}"), &format!("{{\"n\": {n}}}"));
    pipeline.post(&added(0)).await.problem(404);

    let path = pipeline.config().to_owned();
    std::fs::write(&path, config::with_sources([config::signed("orders"), config::signed("added")])).unwrap();
    // The gateway last: the others have to know what it lets in.
    for role in [Role::Persister, Role::Dedup, Role::Normalizer, Role::Gateway] {
        pipeline.role(role).child().signal(Signal::SIGHUP);
    }
    let answer = eventually(SOON, "the new source is served", async || {
        let answer = pipeline.post(&added(1)).await;
        ensure(answer.status == 200, || answer.to_string()).map(|()| answer)
    })
    .await;
    pipeline.row("messages", answer.accepted()).await;
    for (role, name, outcome) in [
        (Role::Normalizer, "penstock_normalizer_messages_total", "normalized"),
        (Role::Dedup, "penstock_dedup_messages_total", "unique"),
        (Role::Persister, "penstock_persister_messages_total", "stored"),
    ] {
        let labels = [("source", "added"), ("outcome", outcome)];
        eventually(SOON, "the new source is counted under its name", async || {
            let found = pipeline.scrape(role).await.sum(name, &labels);
            ensure(found == Some(1.0), || format!("{}: {found:?}", role.name()))
        })
        .await;
    }

    std::fs::write(&path, config::with_sources(["name = \"broken\"\nchannel = \"webhook\"\nprovider = \"nobody\""]))
        .unwrap();
    for role in [Role::Normalizer, Role::Gateway] {
        let process = pipeline.role(role);
        process.child().signal(Signal::SIGHUP);
        eventually(SOON, "the bad file is told in the log", async || {
            let log = process.child().log();
            ensure(log.contains("penstock.toml:") && log.contains("nobody"), || process.child().tail())
        })
        .await;
        process.ready().await;
    }
    let answer = pipeline.post(&added(2)).await;
    pipeline.row("messages", answer.accepted()).await;
    load.more(10, SOON).await;

    let deliveries = load.stop().await;
    let failed: Vec<_> =
        deliveries.iter().filter(|delivery| !matches!(delivery.outcome, Outcome::Accepted(_))).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    pipeline.settled().await;
    Findings::of(&deliveries, &pipeline.database.endings("orders").await).assert_exact();
}
