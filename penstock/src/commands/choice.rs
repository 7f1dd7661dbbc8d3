//! Which requests of `RAW` are meant: what `replay` and `audit` can be told. Pure.

use clap::Args;
use proto::subject::SourceName;
use proto::{Channel, Millis};

use super::clock;
use super::error::CommandError;
use super::stream::Begin;

/// How far the clocks of gateway and broker may be apart: beyond five minutes the gateway uses the broker's.
const CLOCKS: i64 = 6 * 60 * 1000;

/// Which requests are meant, on the command line; all of them where nothing is said.
#[derive(Debug, Args)]
pub(crate) struct ChoiceArgs {
    /// A source; can be given several times
    #[arg(long, value_name = "NAME", value_parser = SourceName::parse)]
    source: Vec<SourceName>,
    /// email, sms, whatsapp, form or webhook
    #[arg(long)]
    channel: Option<Channel>,
    /// Received from then on: 2026-11-23T05:53:29Z, 2026-11-23, or how long ago (2h, 3d)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Received before then
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

impl ChoiceArgs {
    pub(crate) fn read(&self) -> Result<Choice, CommandError> {
        let now = clock::now();
        let time = |text: &Option<String>| {
            let read = text.as_deref().map(|text| clock::parse(text, now)).transpose();
            read.map_err(|error| CommandError::usage(error, "see `--help`"))
        };
        Ok(Choice {
            channel: self.channel,
            sources: self.source.clone(),
            since: time(&self.since)?,
            until: time(&self.until)?,
        })
    }
}

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

    /// Where to begin reading.
    pub(crate) fn begin(&self) -> Begin {
        self.since.map_or(Begin::Sequence(1), |since| Begin::Time(since.saturating_sub(CLOCKS)))
    }

    /// Whether a request came in at the time that is meant, by the gateway's clock.
    pub(crate) fn fits(&self, received_at: Millis) -> bool {
        let at = received_at.as_unix();
        self.since.is_none_or(|since| at >= since) && self.until.is_none_or(|until| at < until)
    }

    /// Whether nothing later in the stream can fit: a message stored so long after `until` came in after it, whatever
    /// the clocks say. (One that was held is stored later; it is then found by its id only.)
    pub(crate) fn is_past(&self, stored_at: i64) -> bool {
        self.until.is_some_and(|until| stored_at > until.saturating_add(CLOCKS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let fits = |millis| choice.fits(Millis::from_unix(millis).unwrap());
        assert_eq!([9, 10, 19, 20].map(fits), [false, true, true, false]);
        assert!(!choice.is_past(20 + CLOCKS) && choice.is_past(21 + CLOCKS));
        assert!(!Choice::default().is_past(i64::MAX));
    }
}
