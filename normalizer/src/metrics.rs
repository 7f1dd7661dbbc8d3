//! Every metric the normalizer exports. Nothing else in this crate names one.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use metrics::{Counter, Histogram, counter, describe_counter, describe_histogram, histogram};
use proto::Channel;
use proto::subject::SourceName;
use providers::BadReason;
use runtime::config::Config;

use crate::decide::{REFUSED, Unreadable};

const MESSAGES: &str = "penstock_normalizer_messages_total";
const BATCH_SECONDS: &str = "penstock_normalizer_batch_duration_seconds";
const BATCH_MESSAGES: &str = "penstock_normalizer_batch_messages";
const DEAD_LETTERS: &str = "penstock_dead_letters_total";
const PANICS: &str = "penstock_normalizer_panics_total";
const FILES: &str = "penstock_normalizer_files_total";
const FILE_BYTES: &str = "penstock_normalizer_file_bytes_total";

/// What became of a request or an element of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// A record went on.
    Normalized,
    /// A record went on that an earlier delivery of the request had published already.
    Redelivered,
    /// An element, or the whole request, went to the DLQ.
    Dead,
    /// The request was given back to be tried again.
    Retried,
}

impl Outcome {
    const ALL: [Self; 4] = [Self::Normalized, Self::Redelivered, Self::Dead, Self::Retried];

    fn label(self) -> &'static str {
        match self {
            Self::Normalized => "normalized",
            Self::Redelivered => "redelivered",
            Self::Dead => "dead",
            Self::Retried => "retried",
        }
    }
}

type Sources = HashMap<(Channel, SourceName, Outcome), Counter>;

/// Handles are looked up once; the hot path only adds to them.
#[derive(Debug)]
pub struct Metrics {
    sources: RwLock<Sources>,
    /// Time from taken to answered for, per batch.
    pub batch_seconds: Histogram,
    /// Requests in a batch.
    pub batch_messages: Histogram,
    /// Requests whose reading panicked: each a fault of the program.
    pub panics: Counter,
    /// Files that were stored, and their bytes.
    pub files: Counter,
    /// As above.
    pub file_bytes: Counter,
    /// Tries to store a file that failed.
    pub failed_files: Counter,
}

impl Metrics {
    /// Every counter exists at zero from the start.
    pub fn new(config: &Config) -> Self {
        describe_counter!(MESSAGES, "What became of requests and their elements in the normalizer.");
        describe_histogram!(BATCH_SECONDS, "Time from taken to answered for, per batch of the normalizer.");
        describe_histogram!(BATCH_MESSAGES, "Requests in a batch of the normalizer.");
        describe_counter!(DEAD_LETTERS, "Messages that a stage gave up on, by reason.");
        describe_counter!(FILES, "Files of messages that were put into the store, and tries that failed.");
        describe_counter!(FILE_BYTES, "Bytes of the files that were put into the store.");
        describe_counter!(PANICS, "Requests whose reading panicked: each a fault of the program.");
        let reasons = BadReason::ALL.map(BadReason::as_str).into_iter().chain(Unreadable::ALL.map(Unreadable::as_str));
        reasons.chain([REFUSED]).for_each(|reason| dead_letters(reason.to_owned()).increment(0));
        Self {
            sources: RwLock::new(counters(config)),
            batch_seconds: histogram!(BATCH_SECONDS),
            batch_messages: histogram!(BATCH_MESSAGES),
            panics: counter!(PANICS),
            files: counter!(FILES, "outcome" => "stored"),
            file_bytes: counter!(FILE_BYTES),
            failed_files: counter!(FILES, "outcome" => "failed"),
        }
    }

    /// From here on counts by the sources of this configuration. A counter that was there goes on.
    pub fn follow(&self, config: &Config) {
        *self.sources.write().unwrap_or_else(PoisonError::into_inner) = counters(config);
    }

    /// Counts one outcome. A source that is not configured (any more) is counted under `unknown`: labels are a closed
    /// set.
    pub fn count(&self, channel: Channel, source: &SourceName, outcome: Outcome) {
        match self.sources.read().unwrap_or_else(PoisonError::into_inner).get(&(channel, source.clone(), outcome)) {
            Some(counter) => counter.increment(1),
            None => messages(channel, "unknown", outcome).increment(1),
        }
    }

    /// Counts one dead letter. `reason` is from a closed set.
    pub fn dead_letter(&self, channel: Channel, source: &SourceName, reason: &str) {
        dead_letters(reason.to_owned()).increment(1);
        self.count(channel, source, Outcome::Dead);
    }
}

fn counters(config: &Config) -> Sources {
    let mut sources = HashMap::new();
    for source in &config.sources {
        let (Ok(channel), Ok(name)) = (source.channel.parse::<Channel>(), SourceName::parse(&source.name)) else {
            continue;
        };
        for outcome in Outcome::ALL {
            sources.insert((channel, name.clone(), outcome), messages(channel, name.as_str(), outcome));
        }
    }
    sources
}

fn messages(channel: Channel, source: &str, outcome: Outcome) -> Counter {
    counter!(MESSAGES, "channel" => channel.as_str(), "source" => source.to_owned(), "outcome" => outcome.label())
}

fn dead_letters(reason: String) -> Counter {
    counter!(DEAD_LETTERS, "stage" => "normalizer", "reason" => reason)
}
