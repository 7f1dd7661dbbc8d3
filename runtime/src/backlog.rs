//! How much waits before a stage, and since when: the two figures to scale and to alert by.

use std::time::Duration;

use metrics::{Gauge, describe_gauge, gauge};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::error_chain::Chain;
use crate::nats::Nats;
use crate::stream_info::{InfoError, broker_millis};
use crate::tasks::Outcome;

/// How often to look.
const EVERY: Duration = Duration::from_secs(5);

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

/// Keeps the gauges of `stage` current: the sum over its consumers, and the oldest of them.
pub async fn run(
    nats: Nats,
    stage: &'static str,
    consumers: Vec<(&'static str, &'static str)>,
    shutdown: CancellationToken,
) -> Outcome {
    describe_gauge!("penstock_backlog_messages", "Messages that wait for a stage or are in its hands.");
    describe_gauge!("penstock_backlog_age_seconds", "Age of the oldest message that a stage has not finished.");
    let messages = gauge!("penstock_backlog_messages", "stage" => stage);
    let age = gauge!("penstock_backlog_age_seconds", "stage" => stage);
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            _ = tick.tick() => {}
        }
        if let Err(error) = look(&nats, &consumers, &messages, &age).await {
            debug!(stage, error = %Chain(&error), "could not look at the backlog; the gauges keep their last values");
        }
    }
}

async fn look(
    nats: &Nats,
    consumers: &[(&'static str, &'static str)],
    messages: &Gauge,
    age: &Gauge,
) -> Result<(), InfoError> {
    let (mut total, mut oldest) = (0, 0.0_f64);
    for (stream, consumer) in consumers {
        let backlog = nats.backlog(stream, consumer).await?;
        total += backlog.messages;
        oldest = oldest.max(backlog.age_seconds);
    }
    #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
    messages.set(total as f64);
    age.set(oldest);
    Ok(())
}
