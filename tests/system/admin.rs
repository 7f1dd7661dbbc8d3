//! What operators and Prometheus see, and nobody else: health and metrics.

use std::time::Duration;

use http::Method;
use tests::config::STANDARD;
use tests::eventually::ensure;
use tests::sign::standard_request;
use tests::{Request, Role, eventually};

use crate::shared;

const SOON: Duration = Duration::from_secs(30);
/// Of every role's admin address.
const PAGES: [&str; 6] = ["/livez", "/readyz", "/health", "/metrics", "/version", "/openapi.json"];

#[tokio::test]
async fn each_role_tells_how_it_is() {
    let pipeline = shared::pipeline().await;
    for role in Role::ALL {
        let url = pipeline.admin_url(role);
        for path in PAGES {
            let answer = Request::get(path).send(&url).await.unwrap();
            assert_eq!(answer.status, 200, "{} {path}: {answer}", role.name());
        }
        let health = Request::get("/health").send(&url).await.unwrap().json();
        assert!(health.to_string().to_lowercase().contains("nats"), "{}: {health:#}", role.name());
        let document = Request::get("/openapi.json").send(&url).await.unwrap().json();
        assert!(document["paths"]["/v1/{channel}/{source}"]["post"].is_object(), "{}", role.name());
        assert_eq!(Request::get("/nothing").send(&url).await.unwrap().status, 404);
    }
}

/// Every method that HTTP has for a path, and one that it has not.
fn methods() -> Vec<Method> {
    let named = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY"];
    named.iter().map(|name| Method::from_bytes(name.as_bytes()).unwrap()).collect()
}

#[tokio::test]
async fn the_public_port_has_nothing_of_what_the_admin_port_tells() {
    let pipeline = shared::pipeline().await;
    let admin = pipeline.admin_url(Role::Gateway);
    let admin_host = admin.trim_start_matches("http://").to_owned();
    let mut told = Vec::new();
    for page in PAGES {
        let body = Request::get(page).send(&admin).await.unwrap().text();
        // Of what changes from one moment to the next, what does not.
        told.push(body.split_whitespace().take(4).collect::<Vec<_>>().join(" "));
        told.push(body.chars().take(12).collect());
    }
    for page in PAGES {
        let name = page.trim_start_matches('/');
        let encoded = format!("/%{:02x}{}", name.as_bytes()[0], &name[1..]);
        let paths = [
            page.to_owned(),
            format!("{page}/"),
            format!("/{page}"),
            format!("{page}?a=b"),
            format!("/v1/..{page}"),
            format!("/v1/webhook/any-json/../../..{page}"),
            format!("/v1/webhook/any-json{page}"),
            page.to_uppercase(),
            encoded,
        ];
        for path in &paths {
            for method in methods() {
                for http2 in [false, true] {
                    let request = Request::new(method.clone(), path.as_str()).header("Host", &admin_host);
                    let request = if http2 { request.over_http2() } else { request };
                    let answer = pipeline.post(&request).await;
                    assert!([400, 404, 405].contains(&answer.status), "{method} {path}: {answer}");
                    let body = answer.text();
                    assert!(!told.iter().any(|told| body.contains(told.as_str())), "{method} {path}: {answer}");
                }
            }
        }
    }
}

#[tokio::test]
async fn an_admin_port_changes_nothing_whatever_it_is_sent() {
    let pipeline = shared::pipeline().await;
    for role in Role::ALL {
        let url = pipeline.admin_url(role);
        for page in PAGES {
            for (method, http2) in methods().into_iter().flat_map(|method| [(method.clone(), false), (method, true)]) {
                let request = Request::new(method.clone(), page);
                let request = if http2 { request.over_http2() } else { request };
                let answer = request.send(&url).await.unwrap();
                if [Method::GET, Method::HEAD].contains(&method) {
                    assert_eq!(answer.status, 200, "{} {method} {page}: {answer}", role.name());
                    assert_eq!(answer.text().is_empty(), method == Method::HEAD, "{} {method} {page}", role.name());
                } else {
                    assert_eq!(answer.status, 405, "{} {method} {page}: {answer}", role.name());
                    assert_eq!(answer.header("allow"), Some("GET, HEAD"), "{} {method} {page}", role.name());
                }
            }
        }
        // Nor is it a second gateway.
        let message = Request::json("/v1/webhook/any-json", r#"{"message": "by the back door"}"#);
        assert_eq!(message.send(&url).await.unwrap().status, 404, "{}", role.name());
    }
}

/// By role, every metric that the contract names.
const METRICS: [(Role, &[&str]); 4] = [
    (Role::Gateway, &["penstock_gateway_requests_total", "penstock_gateway_request_duration_seconds"]),
    (
        Role::Normalizer,
        &["penstock_normalizer_messages_total", "penstock_backlog_messages", "penstock_backlog_age_seconds"],
    ),
    (Role::Dedup, &["penstock_dedup_messages_total", "penstock_backlog_messages", "penstock_backlog_age_seconds"]),
    (
        Role::Persister,
        &[
            "penstock_persister_messages_total",
            "penstock_persister_batch_duration_seconds",
            "penstock_end_to_end_duration_seconds",
            "penstock_backlog_messages",
            "penstock_backlog_age_seconds",
            "penstock_dead_letters_total",
        ],
    ),
];

#[tokio::test]
async fn every_metric_of_the_contract_is_there() {
    let pipeline = shared::pipeline().await;
    pipeline.post(&Request::json("/v1/webhook/any-json", r#"{"message": "measured"}"#)).await.accepted();
    for (role, names) in METRICS {
        eventually(SOON, &format!("the metrics of the {}", role.name()), async || {
            let metrics = pipeline.scrape(role).await;
            let missing: Vec<_> =
                names.iter().chain(&["penstock_build_info"]).filter(|name| !metrics.has(name)).collect();
            ensure(missing.is_empty(), || format!("{missing:?} are missing"))
        })
        .await;
    }
}

#[tokio::test]
async fn a_message_is_counted_once_by_each_stage() {
    let pipeline = shared::pipeline().await;
    // A source nobody else uses: its counters are there, at zero, before the first request.
    let labels = [("source", "strangers")];
    let total = async |role: Role, name: &str, outcome: &str| {
        let labels = [labels[0], ("outcome", outcome)];
        pipeline.scrape(role).await.sum(name, &labels)
    };
    let counters = [
        (Role::Gateway, "penstock_gateway_requests_total", None, 3.0),
        (Role::Dedup, "penstock_dedup_messages_total", Some("unique"), 2.0),
        (Role::Dedup, "penstock_dedup_messages_total", Some("duplicate"), 1.0),
        (Role::Persister, "penstock_persister_messages_total", Some("stored"), 2.0),
        (Role::Persister, "penstock_persister_messages_total", Some("duplicate"), 1.0),
    ];
    for (role, name, outcome, _) in counters {
        if let Some(outcome) = outcome {
            assert_eq!(total(role, name, outcome).await, Some(0.0), "{name} {outcome} is there at zero");
        }
    }
    for (message, n) in [("a", 1), ("b", 2), ("a", 3)] {
        let body = format!(r#"{{"n": {n}}}"#);
        pipeline.post(&standard_request(STANDARD, "strangers", message, &body)).await.accepted();
    }
    pipeline.rows("strangers", 2, 1).await;
    for (role, name, outcome, expected) in counters {
        eventually(SOON, &format!("{name} {outcome:?} is {expected}"), async || {
            let found = match outcome {
                Some(outcome) => total(role, name, outcome).await,
                None => pipeline.scrape(role).await.sum(name, &labels),
            };
            ensure(found == Some(expected), || format!("{found:?}"))
        })
        .await;
    }
}

#[tokio::test]
async fn strangers_make_no_new_series() {
    let pipeline = shared::pipeline().await;
    let knock = async |n: u32| {
        for request in [
            Request::json(format!("/v1/webhook/nobody-{n}"), "{}"),
            Request::json(format!("/v1/canary-{n}/any-json"), "{}"),
            Request::json(format!("/canary-{n}"), "{}").header("User-Agent", format!("canary-{n}")),
            Request::new(http::Method::from_bytes(format!("CANARY{n}").as_bytes()).unwrap(), "/v1/webhook/any-json"),
        ] {
            pipeline.post(&request).await;
        }
    };
    knock(0).await;
    for n in 1..20 {
        knock(n).await;
    }
    let metrics = Request::get("/metrics").send(&pipeline.admin_url(Role::Gateway)).await.unwrap().text();
    let strange = |line: &&str| line.to_lowercase().contains("canary") || line.contains("nobody-");
    assert_eq!(metrics.lines().find(strange), None);
    assert!(metrics.contains("any-json"), "a source that is configured has its series");
}

#[tokio::test]
async fn no_role_leaves_a_core_dump() {
    let pipeline = shared::pipeline().await;
    for role in Role::ALL {
        let limits =
            std::fs::read_to_string(format!("/proc/{}/limits", pipeline.run().pids.roles.of(role)[0])).unwrap();
        let core = limits.lines().find_map(|line| line.strip_prefix("Max core file size")).unwrap();
        assert_eq!(core.split_whitespace().collect::<Vec<_>>(), ["0", "0", "bytes"], "{}", role.name());
    }
}
