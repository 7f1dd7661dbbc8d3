//! `penstock verify`: whether a captured request's signature holds, and what differs where it does not.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tests::config::{self, BEARER, GITHUB, TWILIO};
use tests::sign::{github, twilio, twilio_request, urlencoded};
use tests::{Request, binary};

use crate::shared;

const FIELDS: [(&str, &str); 3] = [("MessageSid", "SM1"), ("From", "+14155551438"), ("Body", "hi there")];

/// A folder with a configuration that names no server.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let secrets = |secret: &str| format!("secrets = [{{ value = \"{secret}\" }}]\n");
    let sources = [
        config::source("sms", "twilio", "support", &secrets(TWILIO)),
        config::source("webhook", "github", "orders", &secrets("mistyped")),
        config::source("webhook", "github", "orders-test", &secrets(GITHUB)),
    ];
    let text = config::with(&format!("gateway.public_url = \"{}\"\n", config::PUBLIC_URL), sources);
    std::fs::write(folder.path().join("penstock.toml"), text).unwrap();
    folder
}

fn verify(folder: &tempfile::TempDir, arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(binary::penstock());
    command.arg("verify").args(arguments).current_dir(folder.path());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// What a proxy would have written down of a request that Twilio signed for this URL.
fn captured(signed_url: &str) -> String {
    let signature = twilio(TWILIO, signed_url, &FIELDS);
    let head = [
        "POST /v1/sms/support HTTP/1.1",
        "Host: in.example.com:8443",
        "Content-Type: application/x-www-form-urlencoded",
        &format!("X-Twilio-Signature: {signature}"),
    ];
    format!("{}\r\n\r\n{}", head.join("\r\n"), urlencoded(&FIELDS))
}

#[test]
fn a_captured_request_is_judged_without_a_server() {
    let folder = folder();
    let right = format!("{}/v1/sms/support", config::PUBLIC_URL);
    let output = verify(&folder, &["support", "--file", "-"], &captured(&right));
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).starts_with("holds: secret 1 fits"), "{}", said(&output));

    let output = verify(&folder, &["support", "--file", "-"], &captured("http://in.example.com:8443/v1/sms/support"));
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let next = "set `public_url = \"http://in.example.com:8443\"` under [gateway]";
    assert!(said(&output).starts_with("does not hold") && said(&output).contains(next), "{}", said(&output));
    assert!(!said(&output).contains(TWILIO), "{}", said(&output));

    let unsigned = captured(&right).replace("X-Twilio-Signature", "X-Other");
    let output = verify(&folder, &["support", "--file", "-", "--json"], &unsigned);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["holds"], &report["flaw"]), (&"cannot_be_judged".into(), &"missing".into()), "{report:#}");

    let output = verify(&folder, &["support", "--file", "-"], "no request");
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    let output = verify(&folder, &["support", "--file", "/nowhere"], "");
    assert_eq!(output.status.code(), Some(64), "{}", said(&output));
    let output = verify(&folder, &["suport", "--file", "-"], &captured(&right));
    assert_eq!(output.status.code(), Some(64), "{}", said(&output));
}

#[test]
fn a_request_may_be_named_by_its_parts_or_taken_from_a_har_file() {
    let folder = folder();
    let body = r#"{"a":1}"#;
    let signature = github(GITHUB, body);
    let header = format!("X-Hub-Signature-256: {signature}");
    let arguments = ["orders", "--body", "-", "--header", &header, "--header", "Content-Type: application/json"];
    let output = verify(&folder, &arguments, body);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("secret 1 of another source, orders-test"), "{}", said(&output));

    let headers = [("Content-Type", "application/json"), ("X-Hub-Signature-256", signature.as_str())]
        .map(|(name, value)| serde_json::json!({ "name": name, "value": value }));
    let entry = serde_json::json!({ "request": { "method": "POST", "headers": headers,
        "url": "https://in.example.com/v1/webhook/orders-test", "postData": { "text": body } } });
    let har = serde_json::json!({ "log": { "entries": [entry] } }).to_string();
    let output = verify(&folder, &["orders-test", "--file", "-"], &har);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}

#[tokio::test]
async fn what_the_gateway_stored_or_held_is_judged_by_its_id() {
    let pipeline = shared::pipeline().await;
    let verify = async |source: &str, id: &str| {
        let output = pipeline.try_command(&["verify", source, "--id", id, "--json"]).await;
        let report: Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", said(&output)));
        (output.status.code(), report)
    };
    let held = pipeline.post(&twilio_request("a wrong token", "judged", &FIELDS)).await.id().to_string();
    let (code, report) = verify("judged", &held).await;
    assert_eq!((code, &report["flaw"]), (Some(1), &"mismatch".into()), "{report:#}");
    let stored = pipeline.post(&twilio_request(TWILIO, "judged", &FIELDS)).await.id().to_string();
    let (code, report) = verify("judged", &stored).await;
    assert_eq!((code, &report["as_of_from"]), (Some(0), &"received".into()), "{report:#}");

    // The credential was replaced by its fingerprint, which today's secret has.
    let keyed = Request::json("/v1/webhook/bearer", r#"{"message": "keyed"}"#.to_owned());
    let keyed = keyed.header("Authorization", format!("Bearer {BEARER}"));
    let keyed = pipeline.post(&keyed).await.accepted().to_string();
    let (code, report) = verify("bearer", &keyed).await;
    assert_eq!((code, &report["secret"]), (Some(0), &1.into()), "{report:#}");
    assert!(!report.to_string().contains(BEARER), "{report:#}");

    let output = pipeline.try_command(&["verify", "bearer", "--id", &stored]).await;
    assert_eq!(output.status.code(), Some(64), "it came in at another source: {}", said(&output));
}
