//! How requests are counted that are read again. Pure.

use std::collections::BTreeMap;

use comfy_table::Table;
use proto::Channel;
use proto::subject::{SourceName, channel_and_source};

use crate::commands::out;

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
