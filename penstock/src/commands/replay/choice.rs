//! Which requests are meant, and how they are counted. Pure.

use std::collections::BTreeMap;

use comfy_table::Table;
use proto::subject::{SourceName, channel_and_source};
use proto::{Channel, RawEnvelope};

use crate::commands::out;

/// Which requests are meant; empty means all.
#[derive(Clone, Debug, Default)]
pub(crate) struct Choice {
    pub(crate) channel: Option<Channel>,
    pub(crate) sources: Vec<SourceName>,
    /// From this moment on, in milliseconds since 1970.
    pub(crate) since: Option<i64>,
    /// Before this moment.
    pub(crate) until: Option<i64>,
}

impl Choice {
    /// The subjects to read, for the broker to leave the others out.
    pub(crate) fn subjects(&self) -> Vec<String> {
        let channel = self.channel.map_or("*", Channel::as_str);
        if self.sources.is_empty() {
            return if self.channel.is_some() { vec![format!("raw.{channel}.>")] } else { Vec::new() };
        }
        self.sources.iter().map(|source| format!("raw.{channel}.{source}")).collect()
    }

    /// Whether a request came in at the time that is meant, by the gateway's clock.
    pub(crate) fn fits(&self, envelope: &RawEnvelope) -> bool {
        let at = envelope.received_at.as_unix();
        self.since.is_none_or(|since| at >= since) && self.until.is_none_or(|until| at < until)
    }

    /// Whether nothing later in the stream can fit: a message stored so long after `until` came in after it, whatever
    /// the clocks say. (One that was held is stored later; it is then found by its id only.)
    pub(crate) fn is_past(&self, stored_at: i64, clocks: i64) -> bool {
        self.until.is_some_and(|until| stored_at > until.saturating_add(clocks))
    }
}

/// How many requests of each source, and how many could not be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    by_source: BTreeMap<(Channel, SourceName), (u64, u64)>,
    /// Messages without our headers.
    pub(crate) strangers: u64,
    /// Requests whose body is gone.
    pub(crate) without_body: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, subject: &str, bytes: u64) {
        if let Some(key) = channel_and_source(subject) {
            let (count, size) = self.by_source.entry(key).or_default();
            *count += 1;
            *size += bytes;
        }
    }

    pub(crate) fn requests(&self) -> u64 {
        self.by_source.values().map(|(count, _)| count).sum()
    }

    pub(crate) fn table(&self) -> Table {
        let mut table = out::table(&["channel", "source", "requests", "bodies"]);
        for ((channel, source), (count, size)) in &self.by_source {
            table.add_row([
                out::cell(channel.as_str()),
                out::cell(source.as_str()),
                out::cell(out::count(*count)),
                out::cell(out::bytes(*size)),
            ]);
        }
        table
    }

    /// For `--json`.
    pub(crate) fn json(&self, run: Option<&str>) -> serde_json::Value {
        let sources: Vec<_> = self
            .by_source
            .iter()
            .map(|((channel, source), (count, size))| {
                serde_json::json!({ "channel": channel, "source": source.as_str(), "requests": count, "bytes": size })
            })
            .collect();
        serde_json::json!({
            "run": run, "requests": self.requests(), "sources": sources,
            "not_ours": self.strangers, "without_body": self.without_body,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::{Millis, Verified};

    fn at(millis: i64) -> RawEnvelope {
        RawEnvelope {
            id: uuid::Uuid::nil(),
            received_at: Millis::from_unix(millis).unwrap(),
            method: "POST".into(),
            query: None,
            provider: "x".into(),
            verified: Verified::None,
            headers: Vec::new(),
            body: None,
            replay: None,
            traceparent: None,
        }
    }

    #[test]
    fn the_broker_leaves_out_what_is_not_meant() {
        let source = |name| SourceName::parse(name).unwrap();
        let subjects = |channel, sources| Choice { channel, sources, ..Choice::default() }.subjects();
        assert!(subjects(None, Vec::new()).is_empty());
        assert_eq!(subjects(Some(Channel::Sms), Vec::new()), ["raw.sms.>"]);
        assert_eq!(subjects(None, vec![source("a"), source("b")]), ["raw.*.a", "raw.*.b"]);
        assert_eq!(subjects(Some(Channel::Form), vec![source("a")]), ["raw.form.a"]);
    }

    #[test]
    fn the_time_that_counts_is_the_gateways() {
        let choice = Choice { since: Some(10), until: Some(20), ..Choice::default() };
        assert_eq!([9, 10, 19, 20].map(|millis| choice.fits(&at(millis))), [false, true, true, false]);
        assert!(!choice.is_past(25, 5) && choice.is_past(26, 5));
        assert!(!Choice::default().is_past(i64::MAX, 5));
    }

    #[test]
    fn requests_are_counted_by_source() {
        let mut tally = Tally::default();
        tally.add("raw.sms.a", 5);
        tally.add("raw.sms.a", 7);
        tally.add("raw.form.b", 1);
        tally.add("not ours", 1);
        assert_eq!(tally.requests(), 3);
        assert_eq!(tally.json(Some("r"))["sources"][0]["bytes"], 12);
    }
}
