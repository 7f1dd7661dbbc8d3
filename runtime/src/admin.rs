//! The admin address of a process:
//!
//! * `GET /livez` -- 200 as long as the process runs; never depends on another system.
//! * `GET /readyz` -- 200 where it can do its job now, else 503 with the reasons.
//! * `GET /health` -- the same as JSON, with every dependency, memory and configuration.
//! * `GET /metrics` -- Prometheus text.
//! * `GET /version` -- name, version, role.

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{Method, Request, Response, StatusCode};
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
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n".into());
        }
        match request.uri().path() {
            "/livez" => text(StatusCode::OK, "alive\n".into()),
            "/readyz" => self.readyz(),
            "/health" => self.health(),
            "/metrics" => self.metrics(),
            "/version" => json(StatusCode::OK, &json!({ "name": "penstock", "role": self.role, "version": VERSION })),
            _ => text(StatusCode::NOT_FOUND, "there are /livez /readyz /health /metrics /version\n".into()),
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
        let mut response = text(StatusCode::OK, self.metrics.render());
        response
            .headers_mut()
            .insert(CONTENT_TYPE, http::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"));
        response
    }
}

/// The version of this program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

fn resident_bytes() -> Option<u64> {
    const PAGE: u64 = 4096;
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    statm.split(' ').nth(1)?.parse::<u64>().ok().map(|pages| pages * PAGE)
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, http::HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, http::HeaderValue::from_static("no-store"));
    response
}

fn json(status: StatusCode, body: &serde_json::Value) -> Response<Full<Bytes>> {
    let mut response = text(status, format!("{body}\n"));
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response
}
