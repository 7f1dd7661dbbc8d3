//! The admin address of a process:
//!
//! * `GET /livez` -- 200 as long as the process runs; never depends on another system.
//! * `GET /readyz` -- 200 where it can do its job now, else 503 with the reasons.
//! * `GET /health` -- the same as JSON, with every dependency, memory and configuration.
//! * `GET /metrics` -- Prometheus text.
//! * `GET /version` -- name, version, role.
//! * `GET /openapi.json` -- what this address and the public one answer.

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use serde_json::json;

use crate::clock::now_millis;
use crate::health::Health;
use crate::process::Loaded;
use crate::telemetry::Metrics;

/// What the admin address tells.
#[derive(Clone, Debug)]
pub struct Admin {
    pub(crate) role: &'static str,
    pub(crate) health: Health,
    pub(crate) metrics: Metrics,
    pub(crate) process: metrics_process::Collector,
    pub(crate) ready: metrics::Gauge,
    pub(crate) loaded: tokio::sync::watch::Receiver<Arc<Loaded>>,
    pub(crate) started_at: i64,
}

impl Admin {
    pub(crate) fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        let Some((_, page)) = PAGES.iter().find(|(known, _)| *known == path) else {
            let known: Vec<&str> = PAGES.iter().map(|(path, _)| *path).collect();
            return text(StatusCode::NOT_FOUND, format!("there are {}\n", known.join(" ")));
        };
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n".into());
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        match page {
            Page::Livez => text(StatusCode::OK, "alive\n".into()),
            Page::Readyz => self.readyz(),
            Page::Health => self.health(),
            Page::Metrics => self.metrics(),
            Page::Version => {
                json(StatusCode::OK, &json!({ "name": "penstock", "role": self.role, "version": VERSION }))
            }
            Page::Openapi => typed(JSON, StatusCode::OK, Bytes::from_static(OPENAPI.as_bytes())),
        }
    }

    fn readyz(&self) -> Response<Full<Bytes>> {
        if self.health.is_ready() {
            return text(StatusCode::OK, "ready\n".into());
        }
        let mut reasons = String::from("not ready\n");
        if self.health.is_stopping() {
            reasons.push_str("shutting down\n");
        }
        if self.health.reports().is_empty() {
            reasons.push_str("starting\n");
        }
        for report in self.health.reports().iter().filter(|report| !report.ok) {
            // Writing to a String cannot fail.
            writeln!(reasons, "{}: {}", report.name, report.detail).unwrap_or_default();
        }
        text(StatusCode::SERVICE_UNAVAILABLE, reasons)
    }

    fn health(&self) -> Response<Full<Bytes>> {
        let ready = self.health.is_ready();
        let loaded = self.loaded.borrow().clone();
        let body = json!({
            "status": if ready { "ok" } else { "unavailable" },
            "ready": ready,
            "stopping": self.health.is_stopping(),
            "role": self.role,
            "version": VERSION,
            "uptime_seconds": now_millis().saturating_sub(self.started_at) / 1000,
            "dependencies": self.health.reports(),
            "memory": { "resident_bytes": resident_bytes() },
            "configuration": {
                "file": loaded.config.file,
                "loaded_at": loaded.loaded_at,
                "sources": loaded.config.sources.len(),
            },
        });
        json(if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, &body)
    }

    fn metrics(&self) -> Response<Full<Bytes>> {
        self.process.collect();
        self.ready.set(if self.health.is_ready() { 1.0 } else { 0.0 });
        typed(METRICS, StatusCode::OK, Bytes::from(self.metrics.render()))
    }
}

/// What can be asked for.
#[derive(Clone, Copy, Debug)]
enum Page {
    Livez,
    Readyz,
    Health,
    Metrics,
    Version,
    Openapi,
}

/// Where.
const PAGES: [(&str, Page); 6] = [
    ("/livez", Page::Livez),
    ("/readyz", Page::Readyz),
    ("/health", Page::Health),
    ("/metrics", Page::Metrics),
    ("/version", Page::Version),
    ("/openapi.json", Page::Openapi),
];

/// `docs/openapi.yaml` as JSON: the public interface and this one. `tests/structure.rs` holds the two files together.
pub const OPENAPI: &str = include_str!("openapi.json");

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const METRICS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The version of this program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

fn resident_bytes() -> Option<u64> {
    const PAGE: u64 = 4096;
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    statm.split(' ').nth(1)?.parse::<u64>().ok().map(|pages| pages * PAGE)
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    typed(TEXT, status, Bytes::from(body))
}

fn json(status: StatusCode, body: &serde_json::Value) -> Response<Full<Bytes>> {
    typed(JSON, status, Bytes::from(format!("{body}\n")))
}

fn typed(content_type: HeaderValue, status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn every_page_and_no_other_is_in_the_openapi_document() {
        let document: Value = serde_json::from_str(OPENAPI).unwrap();
        let mut described: Vec<&str> = document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
        described.retain(|path| !path.starts_with("/v1/"));
        let mut served: Vec<&str> = PAGES.iter().map(|(path, _)| *path).collect();
        served.sort_unstable();
        described.sort_unstable();
        assert_eq!(described, served);
    }
}
