//! Every metric the dedup worker exports. Nothing else in this crate names one.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use metrics::{Counter, Histogram, counter, describe_counter, describe_histogram, histogram};
use proto::Channel;
use proto::subject::SourceName;
use runtime::config::Config;

use crate::decide::Why;

const MESSAGES: &str = "penstock_dedup_messages_total";
const BATCH_SECONDS: &str = "penstock_dedup_batch_duration_seconds";
const BATCH_MESSAGES: &str = "penstock_dedup_batch_messages";
const DEAD_LETTERS: &str = "penstock_dead_letters_total";
const RETRIES: &str = "penstock_dedup_retries_total";

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It claimed its key.
    Unique,
    /// Its key was taken, or it is a replay: the persister judges it.
    Duplicate,
    /// This same record had claimed the key already.
    Redelivered,
}

impl Outcome {
    const ALL: [Self; 3] = [Self::Unique, Self::Duplicate, Self::Redelivered];

    fn label(self) -> &'static str {
        match self {
            Self::Unique => "unique",
            Self::Duplicate => "duplicate",
            Self::Redelivered => "redelivered",
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
    /// Records in a batch.
    pub batch_messages: Histogram,
    dead: HashMap<&'static str, Counter>,
    /// Records given back to be tried again.
    pub retries: Counter,
}

impl Metrics {
    /// Every counter exists at zero from the start.
    pub fn new(config: &Config) -> Self {
        describe_counter!(MESSAGES, "Records that left the dedup worker, by outcome.");
        describe_histogram!(BATCH_SECONDS, "Time from taken to answered for, per batch of the dedup worker.");
        describe_histogram!(BATCH_MESSAGES, "Records in a batch of the dedup worker.");
        describe_counter!(DEAD_LETTERS, "Messages that a stage gave up on, by reason.");
        describe_counter!(RETRIES, "Records that the dedup worker gave back to be tried again.");
        Self {
            sources: RwLock::new(counters(config)),
            batch_seconds: histogram!(BATCH_SECONDS),
            batch_messages: histogram!(BATCH_MESSAGES),
            dead: Why::ALL.map(Why::as_str).map(|reason| (reason, dead_letters(reason))).into(),
            retries: counter!(RETRIES),
        }
    }

    /// Counts a dead letter that is stored.
    pub fn dead(&self, why: Why) {
        if let Some(counter) = self.dead.get(why.as_str()) {
            counter.increment(1);
        }
    }

    /// From here on counts by the sources of this configuration. A counter that was there goes on.
    pub fn follow(&self, config: &Config) {
        *self.sources.write().unwrap_or_else(PoisonError::into_inner) = counters(config);
    }

    /// Counts one record. A source that is not configured (any more) is counted under `unknown`: labels are a closed
    /// set.
    pub fn count(&self, channel: Channel, source: &SourceName, outcome: Outcome) {
        match self.sources.read().unwrap_or_else(PoisonError::into_inner).get(&(channel, source.clone(), outcome)) {
            Some(counter) => counter.increment(1),
            None => messages(channel, "unknown", outcome).increment(1),
        }
    }
}

fn dead_letters(reason: &'static str) -> Counter {
    counter!(DEAD_LETTERS, "stage" => "dedup", "reason" => reason)
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
