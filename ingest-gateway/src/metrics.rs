//! What the gateway counts. Handles are taken once per source, so that counters are there at zero and a request only
//! adds to them; labels come from the configuration and from closed sets, never from a request.

use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use providers::Flaw;
use runtime::config::{Secret, Tls};
use runtime::stream_watch;
use secrecy::ExposeSecret as _;

use crate::expiry;
use crate::sources::Source;

/// What became of a request, as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is explained by the answer of the same name, or is that there was none")]
pub enum Outcome {
    Accepted,
    Duplicate,
    Held,
    Conflict,
    Handshake,
    BadRequest,
    Unauthorized,
    NotFound,
    MethodNotAllowed,
    TooSlow,
    TooLarge,
    UnsupportedMediaType,
    OverLimit,
    Overloaded,
    Unavailable,
    Abandoned,
}

impl Outcome {
    /// Every outcome, in the order of the enum.
    pub const ALL: [Self; 16] = [
        Self::Accepted,
        Self::Duplicate,
        Self::Held,
        Self::Conflict,
        Self::Handshake,
        Self::BadRequest,
        Self::Unauthorized,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::TooSlow,
        Self::TooLarge,
        Self::UnsupportedMediaType,
        Self::OverLimit,
        Self::Overloaded,
        Self::Unavailable,
        Self::Abandoned,
    ];

    /// The label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::Held => "held",
            Self::Conflict => "conflict",
            Self::Handshake => "handshake",
            Self::BadRequest => "bad_request",
            Self::Unauthorized => "unauthorized",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::TooSlow => "too_slow",
            Self::TooLarge => "too_large",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::OverLimit => "over_limit",
            Self::Overloaded => "overloaded",
            Self::Unavailable => "unavailable",
            Self::Abandoned => "abandoned",
        }
    }
}

/// The label of whatever belongs to no configured source.
const UNKNOWN: &str = "unknown";

/// Requests by outcome, and how long they took.
#[derive(Debug)]
pub struct Requests {
    outcomes: [Counter; Outcome::ALL.len()],
    duration: Histogram,
}

impl Requests {
    fn new(channel: &'static str, source: &str) -> Self {
        let count = |outcome: Outcome| counter!("penstock_gateway_requests_total", "channel" => channel, "source" => source.to_owned(), "outcome" => outcome.as_str());
        Self {
            outcomes: Outcome::ALL.map(count),
            duration: histogram!("penstock_gateway_request_duration_seconds", "channel" => channel),
        }
    }

    /// Requests for no configured source.
    pub fn unknown() -> Self {
        Self::new(UNKNOWN, UNKNOWN)
    }

    /// Counts one that began then, once it ends.
    pub fn begin(self: &Arc<Self>, started: Instant) -> InHand {
        InHand { requests: Arc::clone(self), started, outcome: Outcome::Abandoned }
    }

    fn count(&self, outcome: Outcome, took: Duration) {
        // The handles are in the order of the enum.
        if let Some(counter) = self.outcomes.get(outcome as usize) {
            counter.increment(1);
        }
        self.duration.record(took);
    }
}

/// A request that is not answered yet. Where its client hangs up, the HTTP library drops all of it, wherever it is; it
/// may be stored all the same, and is counted as abandoned.
#[derive(Debug)]
pub struct InHand {
    requests: Arc<Requests>,
    started: Instant,
    outcome: Outcome,
}

impl InHand {
    /// It is answered; how long that took.
    pub fn end(mut self, outcome: Outcome) -> Duration {
        self.outcome = outcome;
        self.started.elapsed()
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        self.requests.count(self.outcome, self.started.elapsed());
    }
}

/// What is counted of one source.
#[derive(Debug)]
pub struct SourceMetrics {
    /// Its requests.
    pub requests: Arc<Requests>,
    /// Wrong signatures accepted because the source only observes.
    pub observed: Counter,
    /// Requests over its limit that were accepted all the same.
    pub over_limit_accepted: Counter,
    secrets: Vec<Counter>,
    flaws: [Counter; Flaw::ALL.len()],
}

impl SourceMetrics {
    /// Takes the handles of a source with so many secrets.
    pub fn new(source: &Source, secrets: usize) -> Self {
        let name = || source.name.as_str().to_owned();
        let secret = |number: usize| counter!("penstock_gateway_secret_uses_total", "source" => name(), "secret" => number.to_string());
        let flaw = |flaw: Flaw| counter!("penstock_gateway_wrong_signatures_total", "source" => name(), "flaw" => flaw.as_str());
        Self {
            requests: Arc::new(Requests::new(source.channel.as_str(), source.name.as_str())),
            observed: counter!("penstock_gateway_observed_total", "source" => name()),
            over_limit_accepted: counter!("penstock_gateway_over_limit_accepted_total", "source" => name()),
            secrets: (1..=secrets).map(secret).collect(),
            flaws: Flaw::ALL.map(flaw),
        }
    }

    /// Counts a signature that the secret at this place, from 0, made.
    pub fn secret_used(&self, place: usize) {
        if let Some(counter) = self.secrets.get(place) {
            counter.increment(1);
        }
    }

    /// Counts a wrong signature.
    pub fn wrong(&self, flaw: Flaw) {
        let place = Flaw::ALL.iter().position(|known| *known == flaw);
        if let Some(counter) = place.and_then(|place| self.flaws.get(place)) {
            counter.increment(1);
        }
    }
}

/// What is counted of the gateway as a whole.
#[derive(Debug)]
pub struct GatewayMetrics {
    /// Bytes of bodies in memory.
    pub body_bytes: Gauge,
    /// Requests whose time had to be taken from the broker's clock.
    pub clock_corrected: Counter,
    /// Seconds that the broker's clock is ahead of this machine's.
    pub clock_ahead: Gauge,
    /// Probes published because no request was.
    pub probes: Counter,
    /// What is not as it must be with the streams.
    pub stream_faults: Gauge,
    /// What was asked of providers.
    pub fetches: Fetches,
}

/// What was asked of providers, and whether it could be had.
#[derive(Debug)]
pub struct Fetches {
    certificates: [Counter; 2],
    confirmations: [Counter; 2],
}

impl Fetches {
    fn new() -> Self {
        let count = |what: &'static str| {
            ["ok", "failed"]
                .map(|result| counter!("penstock_gateway_fetches_total", "what" => what, "result" => result))
        };
        Self { certificates: count("certificate"), confirmations: count("confirmation") }
    }

    /// A request waited for a certificate.
    pub fn certificate(&self, is_there: bool) {
        let [there, failed] = &self.certificates;
        if is_there { there } else { failed }.increment(1);
    }

    /// A subscription was to be confirmed.
    pub fn confirmation(&self, is_done: bool) {
        let [done, failed] = &self.confirmations;
        if is_done { done } else { failed }.increment(1);
    }
}

/// Leases of tokens from the limits that all gateways keep together.
#[derive(Debug)]
pub struct Leases {
    /// Had.
    pub granted: Counter,
    /// Not had: this gateway kept to its share for a second.
    pub failed: Counter,
    /// Requests decided by this gateway's share of a limit.
    pub of_share: Counter,
}

impl Leases {
    /// Describes them and takes the handles.
    pub fn new() -> Self {
        describe_counter!(
            "penstock_gateway_limit_leases_total",
            "Leases of tokens from the limits that all gateways keep together, by whether they were had."
        );
        describe_counter!(
            "penstock_gateway_limit_share_total",
            "Requests decided by this gateway's share of a limit, because NATS could not be asked."
        );
        let leases = |result| counter!("penstock_gateway_limit_leases_total", "result" => result);
        Self {
            granted: leases("granted"),
            failed: leases("failed"),
            of_share: counter!("penstock_gateway_limit_share_total"),
        }
    }
}

impl Default for Leases {
    fn default() -> Self {
        Self::new()
    }
}

/// How many gateways this one knows of, itself among them.
pub fn gateways() -> Gauge {
    describe_gauge!("penstock_gateway_gateways", "Gateways that this one knows of, itself among them.");
    gauge!("penstock_gateway_gateways")
}

/// Tells when the certificates end that are in force from now on: never, where there is none.
pub fn certificates_end(tls: &Tls) {
    let name = "penstock_gateway_certificate_expiration_timestamp_seconds";
    describe_gauge!(name, "When the first certificate ends that a setting of gateway.tls holds, since 1970.");
    let end = |pem: &Option<Secret>| pem.as_ref().and_then(|pem| expiry::first_end(pem.expose_secret()));
    for (setting, pem) in [("certificate", &tls.certificate), ("client_ca", &tls.client_ca)] {
        gauge!(name, "setting" => setting).set(end(pem).map_or(f64::INFINITY, |end| end.as_secs_f64()));
    }
}

impl GatewayMetrics {
    /// Describes everything here and takes the handles.
    pub fn new() -> Self {
        describe_counter!("penstock_gateway_requests_total", "Requests, by what became of them.");
        describe_histogram!("penstock_gateway_request_duration_seconds", "From a request's head to its answer.");
        describe_counter!(
            "penstock_gateway_secret_uses_total",
            "Signatures that fit, by the place of the secret in `secrets`, from 1: one that stays at zero can go."
        );
        describe_counter!(
            "penstock_gateway_wrong_signatures_total",
            "Signatures and credentials that did not fit, by what is wrong with them."
        );
        describe_counter!(
            "penstock_gateway_observed_total",
            "Wrong signatures accepted because of verify = \"observe\"."
        );
        describe_counter!(
            "penstock_gateway_over_limit_accepted_total",
            "Requests over the source's limit accepted because of over_limit = \"accept\"."
        );
        describe_gauge!("penstock_gateway_body_bytes", "Bytes of requests in memory, of gateway.body_budget.");
        describe_counter!(
            "penstock_gateway_clock_corrected_total",
            "Requests dated by the broker's clock because this machine's is more than 5 minutes off."
        );
        describe_gauge!(
            "penstock_gateway_clock_ahead_seconds",
            "How far the broker's clock is ahead of this machine's."
        );
        describe_counter!("penstock_gateway_probes_total", "Empty messages published to see whether RAW takes any.");
        describe_counter!(
            "penstock_gateway_fetches_total",
            "Certificates and confirmations that requests needed from their providers, by whether they were had."
        );
        Self {
            body_bytes: gauge!("penstock_gateway_body_bytes"),
            clock_corrected: counter!("penstock_gateway_clock_corrected_total"),
            clock_ahead: gauge!("penstock_gateway_clock_ahead_seconds"),
            probes: counter!("penstock_gateway_probes_total"),
            stream_faults: stream_watch::faults_gauge(),
            fetches: Fetches::new(),
        }
    }
}

impl Default for GatewayMetrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_counted_under_their_own_names() {
        for (place, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, place, "{}", outcome.as_str());
        }
        let names: std::collections::HashSet<&str> = Outcome::ALL.map(Outcome::as_str).into();
        assert_eq!(names.len(), Outcome::ALL.len());
    }
}
