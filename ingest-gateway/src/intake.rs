//! A request on its way in, and what is asked of it and made of it. No I/O, but that its source's limit may have to be asked
//! for.

use bytes::Bytes;
use http::request::Parts;
use proto::header::Pair;
use proto::{RawEnvelope, Verified};
use providers::{Certificate, FollowUp, Used, Verdict};
use runtime::config::{Config, Problems};

use crate::admit::within_limit;
use crate::answer::Refusal;
use crate::envelope;
use crate::fleet::Fleet;
use crate::limits::Pressure;
use crate::metrics::{self, SourceMetrics};
use crate::recent::Print;
use crate::sources::{Source, Table};
use crate::ticket::Ticket;

/// What a reload replaces at once.
#[derive(Debug)]
pub struct State {
    /// The sources.
    pub table: Table,
    metrics: Vec<SourceMetrics>,
}

impl State {
    /// Builds it, or says everything that is wrong with the sources.
    pub fn build(config: &Config, previous: Option<&Self>) -> Result<Self, Problems> {
        let table = Table::build(config, previous.map(|state| &state.table))?;
        metrics::certificates_end(&config.gateway.tls);
        let metrics = table.sources().iter().map(|source| SourceMetrics::new(source, source.secrets(config))).collect();
        Ok(Self { table, metrics })
    }

    /// Where a source of this table is counted.
    pub fn metrics(&self, source: &Source) -> Option<&SourceMetrics> {
        self.metrics.get(source.index)
    }
}

/// A request that is on its way in.
#[derive(Debug)]
pub struct Intake<'a> {
    /// Everything that is in force.
    pub state: &'a State,
    /// Where it came in.
    pub source: &'a Source,
    /// Where it is counted.
    pub metrics: Option<&'a SourceMetrics>,
    /// Its head.
    pub head: &'a Parts,
    /// Its headers.
    pub pairs: Vec<Pair>,
    /// Its body.
    pub body: Bytes,
    /// Its id and time.
    pub ticket: Ticket,
}

impl Intake<'_> {
    fn request<'s>(&'s self, url: &'s str) -> providers::Request<'s> {
        let Self { head, pairs, body, .. } = self;
        providers::Request { method: &head.method, url, query: head.uri.query(), headers: pairs, body }
    }

    /// Where the certificate lies without which it cannot be judged.
    pub fn certificate_url(&self) -> Option<String> {
        self.source.certificate_url(&self.request(""))
    }

    /// Judges its signature, with the certificate that was fetched for it.
    pub fn authenticate(&self, certificate: Option<&Certificate>) -> Verdict {
        let url = envelope::public_url(self.head, self.source, &self.state.table.urls);
        self.source.authenticate(&self.request(&url), certificate, self.ticket.received_at)
    }

    /// What is left to do once it is stored with this verdict.
    pub fn follow_up(&self, verified: Verified) -> Option<FollowUp> {
        if verified == Verified::Yes { self.source.adapter.follow_up(&self.request("")) } else { None }
    }

    /// What its signature was used for, where that does not cover it.
    pub fn used(&self) -> Option<Used> {
        self.source.adapter.used(&self.request(""))
    }

    /// Finds what only its sender can mend.
    pub fn check(&self) -> Result<(), Refusal> {
        self.source.adapter.check(&self.request(""), self.source.max_body).map_err(Refusal::Bad)
    }

    /// Takes one from the budget that this request may use.
    pub async fn limit(&self, fleet: &Fleet, verified: Verified) -> Result<(), Refusal> {
        let status = self.source.adapter.contract().over_limit_status();
        let pressure = self.source.limits.check(fleet, verified, self.source.over_limit).await;
        within_limit(pressure, self.source.over_limit).map_err(|over| Refusal::OverLimit(over, status))?;
        if let (Pressure::Over(_), Some(metrics)) = (pressure, self.metrics) {
            metrics.over_limit_accepted.increment(1);
        }
        Ok(())
    }

    /// What tells it from another one.
    pub fn print(&self, verified: Verified) -> Print {
        let (source, head) = (self.source, self.head);
        let is_id = |name: &str| source.identity_headers.iter().any(|id| id == name);
        let headers = self.pairs.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
        let ids = headers.filter(|(name, _)| is_id(name));
        Print::of(source.name.as_str(), verified, head.method.as_str(), head.uri.query(), ids, &self.body)
    }

    /// What is stored: everything that came, credentials replaced.
    pub fn into_message(mut self, verified: Verified) -> (RawEnvelope, Bytes) {
        let fingerprints = &self.state.table.fingerprints;
        let signatures = self.source.signature_headers(&self.request(""));
        fingerprints.redact_headers(&mut self.pairs, &self.source.secret_headers, signatures);
        let parameters = self.source.adapter.secret_parameters();
        let query = self.head.uri.query().map(|query| fingerprints.redact_query(query, parameters).into_owned());
        let envelope = RawEnvelope {
            id: self.ticket.id,
            received_at: self.ticket.received_at,
            method: self.head.method.as_str().to_owned(),
            query,
            provider: self.source.adapter.name().to_owned(),
            verified,
            headers: self.pairs,
            body: None,
            replay: None,
            traceparent: Some(envelope::traceparent(&self.head.headers, self.ticket.id)),
        };
        (envelope, self.body)
    }
}
