//! How much waits before a stage, and since when: the two figures to scale and to alert by.
//!
//! Where the broker cannot be asked, the age goes on from what it was last: a message that came right after the last
//! look has waited that long at most. So an alert by age also fires where nobody can look.

use std::time::{Duration, Instant};

use metrics::{counter, describe_counter, describe_gauge, gauge};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::error_chain::Chain;
use crate::nats::Nats;
use crate::stream_info::{InfoError, broker_millis};
use crate::tasks::Outcome;

/// How often to look.
const EVERY: Duration = Duration::from_secs(5);
/// How often to say that nothing could be seen.
const WARN_EVERY: Duration = Duration::from_mins(1);

/// What waits for one consumer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backlog {
    /// Messages not acknowledged yet.
    pub messages: u64,
    /// Of these, delivered to somebody.
    pub in_hand: u64,
    /// Age of the oldest, in seconds by the broker's clock; 0 where there is none.
    pub age_seconds: f64,
}

impl Nats {
    /// What waits for a consumer.
    pub async fn backlog(&self, stream: &str, consumer: &str) -> Result<Backlog, InfoError> {
        let info = self.consumer_info(stream, consumer).await?;
        let messages = info.num_pending + info.num_ack_pending;
        let age_seconds = if messages == 0 {
            0.0
        } else {
            let from = info.ack_floor.stream_seq.saturating_add(1);
            self.age_of(stream, from, &info.config.filter_subject).await?
        };
        Ok(Backlog { messages, in_hand: info.num_ack_pending, age_seconds })
    }

    async fn age_of(&self, stream: &str, from: u64, filter: &str) -> Result<f64, InfoError> {
        let oldest = self.next_stored(stream, from, filter).await?.and_then(|stored| broker_millis(&stored.time));
        let now = self.stream_info(stream).await?.ts.as_deref().and_then(broker_millis);
        let age = match (oldest, now) {
            (Some(oldest), Some(now)) => now.saturating_sub(oldest).max(0),
            _ => 0,
        };
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
        Ok(age as f64 / 1000.0)
    }
}

/// What was last known of a consumer's backlog.
#[derive(Clone, Copy, Debug)]
struct Known {
    messages: u64,
    age_seconds: f64,
    at: Instant,
}

impl Known {
    /// The most that the oldest message can have waited by now.
    fn age_at(&self, now: Instant) -> f64 {
        self.age_seconds + now.saturating_duration_since(self.at).as_secs_f64()
    }
}

/// Keeps the gauges of `stage` current: the sum over its consumers, and the oldest of them.
pub async fn run(
    nats: Nats,
    stage: &'static str,
    consumers: Vec<(&'static str, &'static str)>,
    shutdown: CancellationToken,
) -> Outcome {
    describe_gauge!("penstock_backlog_messages", "Messages that wait for a stage or are in its hands.");
    describe_gauge!("penstock_backlog_age_seconds", "Age of the oldest message that a stage has not finished.");
    describe_counter!("penstock_backlog_failures_total", "Looks at a stage's backlog that the broker did not answer.");
    let messages = gauge!("penstock_backlog_messages", "stage" => stage);
    let age = gauge!("penstock_backlog_age_seconds", "stage" => stage);
    let failures = counter!("penstock_backlog_failures_total", "stage" => stage);
    let begun = Instant::now();
    let mut known = vec![Known { messages: 0, age_seconds: 0.0, at: begun }; consumers.len()];
    let mut warned: Option<Instant> = None;
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            _ = tick.tick() => {}
        }
        let (mut total, mut oldest) = (0, 0.0_f64);
        for ((stream, consumer), known) in consumers.iter().zip(&mut known) {
            let asked = Instant::now();
            match nats.backlog(stream, consumer).await {
                Ok(Backlog { messages, age_seconds, .. }) => {
                    *known = Known { messages, age_seconds, at: asked };
                    oldest = oldest.max(age_seconds);
                }
                Err(error) => {
                    failures.increment(1);
                    oldest = oldest.max(known.age_at(Instant::now()));
                    if warned.is_none_or(|at| at.elapsed() >= WARN_EVERY) {
                        warned = Some(Instant::now());
                        warn!(stage, consumer, error = %Chain(&error), "could not look at the backlog; its age goes on");
                    }
                }
            }
            total += known.messages;
        }
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
        messages.set(total as f64);
        age.set(oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_can_look_at_goes_on_ageing_also_where_it_was_empty() {
        let now = Instant::now();
        let hour = Duration::from_hours(1);
        let empty = Known { messages: 0, age_seconds: 0.0, at: now };
        assert!((empty.age_at(now + hour) - 3600.0).abs() < 0.001);
        let old = Known { messages: 3, age_seconds: 60.0, at: now };
        assert!((old.age_at(now + hour) - 3660.0).abs() < 0.001);
    }
}
