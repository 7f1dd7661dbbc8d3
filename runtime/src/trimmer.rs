//! Trims a stream as [`crate::trim`] plans it: looks, plans, finds the first message that is young enough to stay, and
//! purges by sequence.
//!
//! Order matters: the stream is asked first, then how far each consumer is, then what the stream has for it from there
//! on. So every answer is at most as far as the truth. A purge is always by sequence and never past what the plan
//! allows.

use std::time::Duration;

use metrics::{counter, describe_counter, describe_gauge, gauge};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::error_chain::Chain;
use crate::kill_point;
use crate::nats::Nats;
use crate::properties::{consumers_of, floor_is_progress, layout_is_known};
use crate::stream_info::{ConsumerInfo, InfoError, StreamInfo, broker_millis};
use crate::tasks::Outcome;
use crate::topology;
use crate::trim::{Keep, Plan, Progress, Reads, Stopped, View, plan};

/// What is kept of a stream, before the broker's time is known.
#[derive(Clone, Debug)]
pub struct Retention {
    /// The stream.
    pub stream: &'static str,
    /// How long processed messages stay.
    pub keep: KeepFor,
    /// As [`Keep::most_messages`].
    pub most_messages: Option<u64>,
    /// As [`Keep::under_pressure`].
    pub under_pressure: bool,
    /// How often to look.
    pub every: Duration,
}

/// How long processed messages stay.
#[derive(Clone, Debug)]
pub enum KeepFor {
    /// So long after the broker stored them.
    Age(Duration),
    /// As long as one of these streams can hold a message that refers to them: longer than the oldest message there, by
    /// what may lie between a message and what it refers to.
    ReferredTo(&'static [&'static str], Duration),
}

/// From this share of its limit on a stream is looked at again soon, however seldom otherwise: who publishes to it may be
/// waiting for room, and what fills it may be processed by then.
const PRESSED: f64 = 0.8;
const SOON: Duration = Duration::from_secs(2);

/// Trims `retention.stream` until shutdown.
pub async fn run(nats: Nats, retention: Retention, shutdown: CancellationToken) -> Outcome {
    let stream = retention.stream;
    describe_counter!(
        "penstock_trimmed_messages_total",
        "Processed messages that were thrown away, by stream and why."
    );
    describe_counter!("penstock_trim_failures_total", "Passes that could not look, decide or purge, by stream.");
    describe_gauge!("penstock_stream_bytes_ratio", "Bytes in a stream as a share of its limit.");
    describe_gauge!("penstock_stream_reach_seconds", "How far back a stream reaches.");
    describe_gauge!("penstock_stream_keep_seconds", "How long processed messages are to stay in a stream.");
    let trimmed = |why| counter!("penstock_trimmed_messages_total", "stream" => stream, "why" => why);
    let (by_age, by_pressure) = (trimmed("age"), trimmed("pressure"));
    let failures = counter!("penstock_trim_failures_total", "stream" => stream);
    let ratio = gauge!("penstock_stream_bytes_ratio", "stream" => stream);
    let reach = gauge!("penstock_stream_reach_seconds", "stream" => stream);
    if let KeepFor::Age(age) = retention.keep {
        gauge!("penstock_stream_keep_seconds", "stream" => stream).set(age.as_secs_f64());
    }
    let mut pause = Duration::ZERO;
    while shutdown.run_until_cancelled(sleep(pause)).await.is_some() {
        pause = retention.every;
        match nats.trim(&retention).await {
            Ok(pass) => {
                if pass.stopped.is_none() && (pass.under_pressure || pass.bytes_ratio >= PRESSED) {
                    pause = pause.min(SOON);
                }
                ratio.set(pass.bytes_ratio);
                reach.set(pass.reach_seconds);
                let trimmed = if pass.under_pressure { &by_pressure } else { &by_age };
                trimmed.increment(pass.trimmed);
                if pass.trimmed > 0 {
                    info!(stream, messages = pass.trimmed, "trimmed");
                }
                if let Some(why) = pass.stopped {
                    failures.increment(1);
                    warn!(stream, why = told(why), "nothing is trimmed; nothing is lost, the stream grows");
                }
            }
            Err(error) => {
                failures.increment(1);
                warn!(stream, error = %Chain(&error), "could not trim; nothing is lost, the stream grows");
            }
        }
    }
    Ok(())
}

fn told(why: Stopped) -> &'static str {
    match why {
        Stopped::ConsumerMissing => "a consumer of it is missing: `penstock provision` makes it",
        Stopped::ConsumerUnfit => {
            "a consumer of it counts messages as done that nobody acknowledged: `penstock provision` says what to mend"
        }
        Stopped::UnknownLayout => {
            "its layout is not the one that this program knows: `penstock provision` of this version"
        }
        Stopped::UnknownTime => "NATS did not say what time it is",
    }
}

/// What one pass saw and did.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pass {
    /// Messages thrown away.
    pub trimmed: u64,
    /// Whether they went because the stream was nearly full.
    pub under_pressure: bool,
    /// Bytes in the stream as a share of its limit, after the pass.
    pub bytes_ratio: f64,
    /// How far back the stream reaches, in seconds, after the pass.
    pub reach_seconds: f64,
    /// Why nothing could be decided.
    pub stopped: Option<Stopped>,
}

impl Nats {
    /// One pass over one stream.
    pub async fn trim(&self, retention: &Retention) -> Result<Pass, InfoError> {
        let info = self.stream_info(retention.stream).await?;
        let view = look(self, retention.stream, &info).await?;
        let Some(now) = info.ts.as_deref().and_then(broker_millis) else {
            return Ok(Pass { stopped: Some(Stopped::UnknownTime), ..Pass::default() });
        };
        let first = broker_millis(&info.state.first_ts);
        let pass = seen(&info, now);

        let keep = Keep {
            since: since(self, &retention.keep, now).await?,
            most_messages: retention.most_messages,
            under_pressure: retention.under_pressure,
        };
        let plan = plan(&view, keep);
        let before = match plan {
            Plan::Nothing => return Ok(pass),
            Plan::Stopped(why) => return Ok(Pass { stopped: Some(why), ..pass }),
            Plan::Pressed { before } => before,
            Plan::Aged { before } => match first {
                Some(first) if first < keep.since => {
                    oldest_to_stay(self, retention.stream, &view, before, keep.since).await?
                }
                _ => return Ok(pass),
            },
        };
        if before <= view.first_sequence {
            return Ok(pass);
        }
        kill_point::reached("trim.planned");
        let trimmed = self.purge_before(retention.stream, before).await?;
        kill_point::reached("trim.purged");
        // What is told is what is left: it stands until the next pass.
        let left = self.stream_info(retention.stream).await?;
        let now = left.ts.as_deref().and_then(broker_millis).unwrap_or(now);
        Ok(Pass { trimmed, under_pressure: matches!(plan, Plan::Pressed { .. }), ..seen(&left, now) })
    }
}

async fn look(nats: &Nats, stream: &str, info: &StreamInfo) -> Result<View, InfoError> {
    let mut consumers = Vec::new();
    for consumer in consumers_of(stream, info) {
        consumers.push(match nats.consumer_info(stream, consumer).await {
            Ok(info) if floor_is_progress(&info) => Ok(progress(nats, stream, consumer, &info).await?),
            Ok(_) => Err(Stopped::ConsumerUnfit),
            Err(error) if error.is_missing() => Err(Stopped::ConsumerMissing),
            Err(error) => return Err(error),
        });
    }
    Ok(View {
        layout_is_known: layout_is_known(info),
        first_sequence: info.state.first_seq,
        last_sequence: info.state.last_seq,
        messages: info.state.messages,
        bytes: info.state.bytes,
        max_bytes: u64::try_from(info.config.max_bytes).ok(),
        consumers,
    })
}

/// How far a consumer is. What is for it is asked of the stream, whose leader answers, and not of the consumer.
async fn progress(nats: &Nats, stream: &str, consumer: &str, info: &ConsumerInfo) -> Result<Progress, InfoError> {
    let ack_floor = info.ack_floor.stream_seq;
    let reads = match filter_of(stream, consumer, info) {
        None => Reads::Everything,
        Some(filter) => {
            let next = nats.next_stored(stream, ack_floor.saturating_add(1), filter).await?;
            Reads::Filtered { next: next.map(|stored| stored.seq) }
        }
    };
    Ok(Progress { ack_floor, waiting: info.num_pending.saturating_add(info.num_ack_pending), reads })
}

/// The one filter of a consumer; `None` where it reads everything, or where its filter is not the one that it should
/// have and everything may be its own.
fn filter_of<'a>(stream: &str, consumer: &str, info: &'a ConsumerInfo) -> Option<&'a str> {
    let found = info.config.filter_subject.as_str();
    let wanted = topology::consumer(stream, consumer).is_none_or(|known| known.filter == found);
    (wanted && info.config.filter_subjects.is_empty() && !found.is_empty()).then_some(found)
}

/// The moment before which messages may go, by the broker's clock.
async fn since(nats: &Nats, keep: &KeepFor, now: i64) -> Result<i64, InfoError> {
    match keep {
        KeepFor::Age(age) => Ok(now.saturating_sub(millis(*age))),
        KeepFor::ReferredTo(streams, margin) => {
            let reach = nats.reach(streams).await?;
            Ok(reach.oldest.min(now).saturating_sub(millis(*margin)))
        }
    }
}

/// The first sequence, at most `before`, whose message was stored at `since` or later. Times in a stream only grow, so
/// this halves the range until it is found: some twenty questions for a million messages.
async fn oldest_to_stay(nats: &Nats, stream: &str, view: &View, before: u64, since: i64) -> Result<u64, InfoError> {
    let (mut low, mut high) = (view.first_sequence, before);
    while low < high {
        let middle = low + (high - low) / 2;
        let stored = nats.next_stored(stream, middle, "").await?;
        let Some(stored) = stored.filter(|stored| stored.seq < high) else {
            high = middle;
            continue;
        };
        match broker_millis(&stored.time) {
            Some(time) if time < since => low = stored.seq + 1,
            // Young enough to stay, or a time that cannot be read.
            _ => high = middle,
        }
    }
    Ok(low)
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
fn seen(info: &StreamInfo, now: i64) -> Pass {
    let limit = u64::try_from(info.config.max_bytes).ok().filter(|limit| *limit > 0);
    let first = broker_millis(&info.state.first_ts).filter(|_| info.state.messages > 0);
    let reach = first.map_or(0, |first| now.saturating_sub(first).max(0));
    Pass {
        bytes_ratio: limit.map_or(0.0, |limit| info.state.bytes as f64 / limit as f64),
        reach_seconds: reach as f64 / 1000.0,
        ..Pass::default()
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
