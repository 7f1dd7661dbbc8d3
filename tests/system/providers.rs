//! Every provider through the real door: each sample that `penstock send` plays, signed with the secret of its source,
//! becomes rows of the kinds that it should.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::Value;
use tests::config::{self, BASIC, BEARER, GITHUB, STANDARD, UNLIMITED};
use tests::{Pipeline, eventually};

/// A message and a state of everybody who sends states.
const STATES: [&str; 15] = [
    "sms/twilio",
    "sms/vonage",
    "sms/vonage-messages",
    "sms/messagebird",
    "sms/bird",
    "sms/sinch",
    "sms/plivo",
    "whatsapp/meta",
    "whatsapp/360dialog",
    "whatsapp/twilio",
    "email/sendgrid",
    "email/mailgun",
    "email/postmark",
    "email/ses",
    "email/mime",
];

/// A path in the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// Every adapter and sample that belong together, as the samples say.
pub(crate) fn samples() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(repository("penstock/samples")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let adapters = text.lines().find_map(|line| line.strip_prefix("for: ")).unwrap();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        found.extend(adapters.split(' ').map(|adapter| (adapter.to_owned(), name.clone())));
    }
    found.sort();
    found
}

/// What the source of an adapter is configured with beside the usual.
fn settings(adapter: &str) -> String {
    let value = |secret: &str| format!("secrets = [{{ value = \"{secret}\" }}]");
    let key = |name: &str| {
        let path = repository("providers/tests/data/keys").join(name);
        format!("secrets = [{{ file = \"{}\" }}]", path.canonicalize().unwrap().display())
    };
    match adapter {
        "webhook/none" => String::new(),
        "webhook/standard" => value(STANDARD),
        "webhook/basic" | "email/postmark" => value(BASIC),
        "webhook/bearer" | "email/mime" => value(BEARER),
        "webhook/hmac" => format!("{}\nheader = \"X-Signature\"", value("secret")),
        "email/sendgrid" => key("sendgrid-signer.key.pem"),
        "email/ses" => {
            format!("{}\ntopics = [\"arn:aws:sns:eu-west-1:123456789012:inbound-mail\"]", key("sns-signer.key.pem"))
        }
        _ => value(GITHUB),
    }
}

/// The name of its source.
pub(crate) fn source(adapter: &str) -> String {
    adapter.replace('/', "-")
}

#[tokio::test]
async fn every_sample_of_every_provider_becomes_rows_and_none_a_dead_letter() {
    let samples = samples();
    let mut adapters: Vec<&str> = samples.iter().map(|(adapter, _)| &**adapter).collect();
    adapters.dedup();
    let sources = adapters.iter().map(|adapter| {
        let (channel, provider) = adapter.split_once('/').unwrap();
        config::source(channel, provider, &source(adapter), &format!("{}\n{UNLIMITED}", settings(adapter)))
    });
    let gateway = "[gateway]\npublic_url = \"https://in.example.com\"\n\
                   limits = { address = { per_second = 1000, burst = 1000 } }\n";
    let common = config::COMMON.split_once("[dedup]").unwrap().1;
    let pipeline = Pipeline::start(&config::with(&format!("{gateway}\n[dedup]{common}"), sources)).await;

    let mut sent = Vec::new();
    for (adapter, sample) in &samples {
        let url = &pipeline.gateways()[0];
        let output = pipeline.command(&["send", &source(adapter), "--sample", sample, "--url", url, "--json"]).await;
        let posted: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(posted["status"], 200, "{adapter} {sample}: {posted:#}");
        sent.push((adapter, sample, posted["id"].as_str().unwrap().parse().unwrap()));
    }
    pipeline.settled().await;

    // Rows of messages and of states.
    let mut rows: BTreeMap<&str, [usize; 2]> = BTreeMap::new();
    let mut table = String::new();
    for (adapter, sample, id) in sent {
        let dead = pipeline.database.of_request("dead_letters", id).await;
        assert!(dead.is_empty(), "{adapter} {sample}: {dead:#?}");
        let of = async |table: &'static str| pipeline.database.of_request(table, id).await;
        let found = eventually(std::time::Duration::from_mins(1), sample, async || {
            let found = [of("messages").await, of("message_statuses").await];
            if found.concat().is_empty() { Err("no row") } else { Ok(found) }
        })
        .await;
        let verified = if adapter == "webhook/none" { "none" } else { "yes" };
        for row in found.iter().flatten() {
            assert_eq!(row["verified"], verified, "{adapter} {sample}: {row:#}");
            assert_eq!(row["provider"], adapter.split_once('/').unwrap().1);
        }
        let kinds: Vec<&str> = found.iter().flatten().filter_map(|row| row["kind"].as_str()).collect();
        writeln!(table, "{adapter:22} {sample:26} {}", kinds.join(", ")).unwrap();
        let counted = rows.entry(adapter).or_default();
        counted[0] += found[0].len();
        counted[1] += found[1].len();
    }
    println!("{table}");
    for (adapter, [messages, states]) in rows {
        assert!(messages > 0, "{adapter} has no message:\n{table}");
        assert!(states > 0 || !STATES.contains(&adapter), "{adapter} has no state:\n{table}");
    }
}
