//! Every metric the persister exports. Nothing else in this crate names one.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use proto::Channel;
use proto::subject::SourceName;
use runtime::config::Config;

use crate::judge::Outcome;

const MESSAGES: &str = "penstock_persister_messages_total";
const BATCH_SECONDS: &str = "penstock_persister_batch_duration_seconds";
const BATCH_MESSAGES: &str = "penstock_persister_batch_messages";
const END_TO_END_SECONDS: &str = "penstock_end_to_end_duration_seconds";
const DEAD_LETTERS: &str = "penstock_dead_letters_total";
const WAITS: &str = "penstock_persister_waits_total";
const EXPIRED: &str = "penstock_persister_expired_keys_total";
const MONTHS: &str = "penstock_persister_dropped_months_total";
const DELETED_FILES: &str = "penstock_persister_deleted_files_total";
const DELETED_ROWS: &str = "penstock_persister_deleted_rows_total";
const UPKEEP_FAILURES: &str = "penstock_persister_upkeep_failures_total";
const AUDITED: &str = "penstock_audit_requests_total";
const AUDIT_RUNNING: &str = "penstock_audit_running";
const AUDIT_IN_FLIGHT: &str = "penstock_audit_in_flight_requests";
const AUDIT_MISSING: &str = "penstock_audit_missing_requests";
const AUDIT_AGE: &str = "penstock_audit_age_seconds";
const AUDIT_PASSED_OVER: &str = "penstock_audit_passed_over_total";
const AUDIT_FAILURES: &str = "penstock_audit_failures_total";

/// The words for [`Outcome`], and for what has none.
const OUTCOMES: [&str; 5] = ["stored", "duplicate", "updated", "redelivered", "dead"];

/// Why this stage gives up on a record.
const REASONS: [&str; 6] = ["no_envelope", "no_body", "unreadable", "mismatch", "nul", "refused"];

/// The tables that rows are deleted from before their month is dropped.
const TABLES: [&str; 4] = ["messages", "message_statuses", "duplicates", "message_attachments"];

type Sources = HashMap<(Channel, SourceName, &'static str), Counter>;

/// Handles are looked up once; the hot path only adds to them.
#[derive(Debug)]
pub struct Metrics {
    sources: RwLock<Sources>,
    end_to_end: HashMap<Channel, Histogram>,
    /// Time from taken to committed, per batch.
    pub batch_seconds: Histogram,
    /// Records in a batch.
    pub batch_messages: Histogram,
    /// Times a batch waited because the database did not take it.
    pub waits: Counter,
    /// Keys cleared away.
    pub expired: Counter,
    /// Months dropped.
    pub months: Counter,
    /// Files that were deleted: of such months, or needed by no row any more.
    pub deleted_files: Counter,
    /// Steps of the upkeep of tables and files that failed.
    pub upkeep_failures: Counter,
}

impl Metrics {
    /// Every counter exists at zero from the start.
    pub fn new(config: &Config) -> Self {
        describe_counter!(MESSAGES, "What became of records in the persister.");
        describe_histogram!(BATCH_SECONDS, "Time from taken to committed, per batch of the persister.");
        describe_histogram!(BATCH_MESSAGES, "Records in a batch of the persister.");
        describe_histogram!(END_TO_END_SECONDS, "Time from the gateway's stamp to the commit of the row.");
        describe_counter!(DEAD_LETTERS, "Messages that a stage gave up on, by reason.");
        describe_counter!(WAITS, "Times a batch waited because PostgreSQL did not take it.");
        describe_counter!(EXPIRED, "Deduplication keys that were cleared away after their window.");
        describe_counter!(MONTHS, "Partitions that were dropped because their retention was over.");
        describe_counter!(DELETED_FILES, "Files of messages that were deleted because their retention was over.");
        describe_counter!(UPKEEP_FAILURES, "Steps that failed of what makes months and deletes what is too old.");
        describe_counter!(
            DELETED_ROWS,
            "Rows that were deleted because the retention of their source or channel was over."
        );
        for table in TABLES {
            deleted_rows(table).increment(0);
        }
        for reason in REASONS {
            dead_letters(reason).increment(0);
        }
        Self {
            sources: RwLock::new(counters(config)),
            end_to_end: Channel::ALL
                .into_iter()
                .map(|channel| (channel, histogram!(END_TO_END_SECONDS, "channel" => channel.as_str())))
                .collect(),
            batch_seconds: histogram!(BATCH_SECONDS),
            batch_messages: histogram!(BATCH_MESSAGES),
            waits: counter!(WAITS),
            expired: counter!(EXPIRED),
            months: counter!(MONTHS),
            deleted_files: counter!(DELETED_FILES),
            upkeep_failures: counter!(UPKEEP_FAILURES),
        }
    }

    /// From here on counts by the sources of this configuration. A counter that was there goes on.
    pub fn follow(&self, config: &Config) {
        *self.sources.write().unwrap_or_else(PoisonError::into_inner) = counters(config);
    }

    /// Counts how a record ended. `age_seconds` is the time since the gateway's stamp.
    pub fn ended(&self, channel: Channel, source: &SourceName, outcome: Outcome, age_seconds: f64) {
        let word = match outcome {
            Outcome::Stored => "stored",
            Outcome::Updated => "updated",
            Outcome::Redelivered => "redelivered",
            Outcome::Duplicate { .. } | Outcome::Erased { .. } => "duplicate",
        };
        self.count(channel, source, word);
        // Replays and redeliveries would tell of the past.
        if let (Outcome::Stored, Some(histogram)) = (outcome, self.end_to_end.get(&channel)) {
            histogram.record(age_seconds);
        }
    }

    /// Counts a record that went to the DLQ. `reason` is one of a closed set.
    pub fn dead(&self, channel: Channel, source: &SourceName, reason: &'static str) {
        dead_letters(reason).increment(1);
        self.count(channel, source, "dead");
    }

    /// Counts rows that were deleted before their month.
    pub fn deleted_rows(&self, table: &'static str, rows: u64) {
        deleted_rows(table).increment(rows);
    }

    /// A source that is not configured (any more) is counted under `unknown`: labels are a closed set.
    fn count(&self, channel: Channel, source: &SourceName, outcome: &'static str) {
        match self.sources.read().unwrap_or_else(PoisonError::into_inner).get(&(channel, source.clone(), outcome)) {
            Some(counter) => counter.increment(1),
            None => messages(channel, "unknown", outcome).increment(1),
        }
    }
}

/// What the audit found.
#[derive(Debug)]
pub struct AuditMetrics {
    /// Requests whose records all have an ending.
    pub accounted: Counter,
    /// Requests that were found missing.
    pub missing: Counter,
    /// Of these, those that have got their endings since.
    pub found: Counter,
    /// Requests that `RAW` let go of while they were looked for.
    pub trimmed: Counter,
    /// Requests that `RAW` let go of before they were read.
    pub passed_over: Counter,
    /// Requests so old that their rows may have been dropped.
    pub past_retention: Counter,
    /// Messages of `RAW` that are no requests.
    pub strangers: Counter,
    /// 1 where the audit does its work.
    pub running: Gauge,
    /// Requests in `RAW` that are not accounted for, without those that are missing.
    pub in_flight: Gauge,
    /// Requests that are missing now.
    pub missing_now: Gauge,
    /// Age of the oldest request that is not accounted for and not missing.
    pub age_seconds: Gauge,
    /// Looks that failed.
    pub failures: Counter,
}

impl AuditMetrics {
    /// Everything exists from the start.
    pub fn at_zero() -> Self {
        describe_counter!(AUDITED, "What the audit found of requests.");
        describe_gauge!(AUDIT_RUNNING, "1 where the audit does its work.");
        describe_gauge!(AUDIT_IN_FLIGHT, "Accepted requests that are not accounted for yet and are not missing.");
        describe_gauge!(AUDIT_MISSING, "Accepted requests without an ending of which nothing is on its way.");
        describe_gauge!(AUDIT_AGE, "Age of the oldest request that is not accounted for and not missing.");
        describe_counter!(AUDIT_PASSED_OVER, "Requests that RAW let go of before the audit had read them.");
        describe_counter!(AUDIT_FAILURES, "Looks of the audit that NATS or PostgreSQL did not answer.");
        let audited = |outcome: &'static str| counter!(AUDITED, "outcome" => outcome);
        let metrics = Self {
            accounted: audited("accounted"),
            missing: audited("missing"),
            found: audited("found"),
            trimmed: audited("trimmed"),
            passed_over: counter!(AUDIT_PASSED_OVER),
            past_retention: audited("past_retention"),
            strangers: audited("not_ours"),
            running: gauge!(AUDIT_RUNNING),
            in_flight: gauge!(AUDIT_IN_FLIGHT),
            missing_now: gauge!(AUDIT_MISSING),
            age_seconds: gauge!(AUDIT_AGE),
            failures: counter!(AUDIT_FAILURES),
        };
        for gauge in [&metrics.running, &metrics.in_flight, &metrics.missing_now, &metrics.age_seconds] {
            gauge.set(0.0);
        }
        metrics
    }
}

fn counters(config: &Config) -> Sources {
    let mut sources = HashMap::new();
    for source in &config.sources {
        let (Ok(channel), Ok(name)) = (source.channel.parse::<Channel>(), SourceName::parse(&source.name)) else {
            continue;
        };
        for outcome in OUTCOMES {
            sources.insert((channel, name.clone(), outcome), messages(channel, name.as_str(), outcome));
        }
    }
    sources
}

fn messages(channel: Channel, source: &str, outcome: &'static str) -> Counter {
    counter!(MESSAGES, "channel" => channel.as_str(), "source" => source.to_owned(), "outcome" => outcome)
}

fn dead_letters(reason: &'static str) -> Counter {
    counter!(DEAD_LETTERS, "stage" => "persister", "reason" => reason)
}

fn deleted_rows(table: &'static str) -> Counter {
    counter!(DELETED_ROWS, "table" => table)
}
