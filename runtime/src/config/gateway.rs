//! `[gateway]`: where requests come in, and how much of them at once.

use std::net::SocketAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::format::{address, base_url, duration, network, size, whole};
use super::public_url::PublicUrl;
use super::reader::Reader;
use super::requirements::Need;
use super::secret::Secret;

/// Settings of the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    /// Where providers are served. Default `0.0.0.0:8080`.
    pub listen: SocketAddr,
    /// Where health and metrics are served. Default `127.0.0.1:9101`.
    pub admin: SocketAddr,
    /// Threads that work. 1 to 256; where it is absent, half of the machine's processors, at least 1.
    pub threads: Option<usize>,
    /// What providers call, up to the path; no slash at its end. Default none.
    pub public_url: Option<PublicUrl>,
    /// Peers whose `X-Forwarded-For` is believed. Default none.
    pub trusted_proxies: Vec<IpNet>,
    /// Limits per client address.
    pub limits: Limits,
    /// Bytes of bodies in memory at once. 1 MiB to 64 GiB. `None` is 64 MiB, or twice the largest body that a source takes.
    pub body_budget: Option<u64>,
    /// Bytes of bodies of one address in memory at once. 1 MiB to 64 GiB. `None` is three quarters of `body_budget`, or the
    /// largest body that a source takes where that is more.
    pub body_budget_per_address: Option<u64>,
    /// For a whole body to arrive. 100 ms to 10 min, default 30 s.
    pub body_timeout: Duration,
    /// For the headers of a request to arrive. 100 ms to 5 min, default 10 s.
    pub header_timeout: Duration,
    /// For the broker to confirm. 100 ms to 2900 ms, default 2500 ms: a 503 is promised within 3 s.
    pub publish_timeout: Duration,
    /// Connections at once. 1 to 1,000,000, default 10,000.
    pub max_connections: usize,
    /// Connections of one address at once, but for those of trusted proxies. 1 to 1,000,000, default 1,000.
    pub max_connections_per_address: usize,
    /// For requests in hand to end after SIGTERM. 0 s to 10 min, default 25 s.
    pub shutdown_grace: Duration,
    /// How the gateway reaches providers, for what it has to ask them.
    pub egress: Egress,
    /// What providers are served with over TLS. Default none: something in front of the gateway speaks it.
    pub tls: Tls,
}

/// TLS on the gateway's own port. Certificate and key go together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// PEM of the server's certificate and of those that signed it.
    pub certificate: Option<Secret>,
    /// PEM of its private key.
    pub key: Option<Secret>,
    /// PEM of the authorities whose signature makes a client's certificate good, for sources with `client_names`.
    pub client_ca: Option<Secret>,
}

/// The way out, to the few providers that have to be asked for something: a certificate, or a subscription's confirmation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Egress {
    /// The proxy that connections go through (`CONNECT`); may hold user and password. Default none: they are made directly.
    pub proxy: Option<Secret>,
    /// PEM of certification authorities that are believed beside those that browsers believe. Default none.
    pub ca: Option<Secret>,
}

/// Limits per client address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Requests, authenticated or not.
    pub address: Rate,
    /// Requests with a missing or wrong signature or key.
    pub auth_failures: AuthFailures,
}

/// So many a second, and so many at once after a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// 1 to 1,000,000; by default 50 for an address, 100 for a source.
    pub per_second: u32,
    /// 1 to 1,000,000; by default 100 for an address, 200 for a source.
    pub burst: u32,
}

/// So many a minute, and so many at once after a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuthFailures {
    /// 1 to 1,000,000, default 10.
    pub per_minute: u32,
    /// 1 to 1,000,000, default 10.
    pub burst: u32,
}

impl Gateway {
    pub(super) fn read(reader: &mut Reader<'_, '_>, secrets: Need) -> Self {
        Self {
            listen: reader.or("listen", "0.0.0.0:8080", &address()),
            admin: reader.or("admin", "127.0.0.1:9101", &address()),
            threads: reader.left_open("threads", "half of the processors", &whole(1..=256)),
            public_url: reader.optional("public_url", &base_url()),
            trusted_proxies: reader.list("trusted_proxies", &network()),
            limits: reader.table("limits", Limits::read),
            body_budget: reader.left_open(
                "body_budget",
                "64 MiB, or twice the largest max_body",
                &size("1 MiB", "64 GiB"),
            ),
            body_budget_per_address: reader.left_open(
                "body_budget_per_address",
                "3/4 of body_budget, less where the largest max_body needs more beside it",
                &size("1 MiB", "64 GiB"),
            ),
            body_timeout: reader.or("body_timeout", "30s", &duration("100ms", "10m")),
            header_timeout: reader.or("header_timeout", "10s", &duration("100ms", "5m")),
            publish_timeout: reader.or("publish_timeout", "2500ms", &duration("100ms", "2900ms")),
            max_connections: reader.or("max_connections", "10000", &whole(1..=1_000_000)),
            max_connections_per_address: reader.or("max_connections_per_address", "1000", &whole(1..=1_000_000)),
            shutdown_grace: reader.or("shutdown_grace", "25s", &duration("0s", "10m")),
            egress: reader.table("egress", |reader| Egress::read(reader, secrets)),
            tls: reader.table("tls", |reader| Tls::read(reader, secrets)),
        }
    }
}

impl Tls {
    /// Needed by who takes requests, as the secrets of sources are.
    fn read(reader: &mut Reader<'_, '_>, secrets: Need) -> Self {
        let optional = secrets.optional();
        Self {
            certificate: reader.secret("certificate", optional),
            key: reader.secret("key", optional),
            client_ca: reader.secret("client_ca", optional),
        }
    }
}

impl Egress {
    /// Only who verifies requests has to ask providers, so it is needed where their secrets are.
    fn read(reader: &mut Reader<'_, '_>, secrets: Need) -> Self {
        let optional = if secrets == Need::Unused { Need::Unused } else { Need::Optional };
        Self { proxy: reader.secret_url("proxy", optional, &["http://"]), ca: reader.secret("ca", optional) }
    }
}

impl Limits {
    fn read(reader: &mut Reader<'_, '_>) -> Self {
        Self {
            address: reader.table("address", |reader| Rate::read(reader, "50", "100")),
            auth_failures: reader.table("auth_failures", AuthFailures::read),
        }
    }
}

impl Rate {
    pub(super) fn read(reader: &mut Reader<'_, '_>, per_second: &'static str, burst: &'static str) -> Self {
        Self {
            per_second: reader.or("per_second", per_second, &whole(1..=1_000_000)),
            burst: reader.or("burst", burst, &whole(1..=1_000_000)),
        }
    }
}

impl AuthFailures {
    fn read(reader: &mut Reader<'_, '_>) -> Self {
        Self {
            per_minute: reader.or("per_minute", "10", &whole(1..=1_000_000)),
            burst: reader.or("burst", "10", &whole(1..=1_000_000)),
        }
    }
}
