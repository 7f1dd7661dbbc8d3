//! Looks at `RAW` itself: what time it is there, where it begins by now, and how much waits; and tells the metrics.

use runtime::stream_info::{ConsumerInfo, InfoError, broker_millis};
use runtime::topology::{AUDIT, RAW};
use tokio::time::Instant;
use tracing::warn;

use super::{Audit, LOOK};

impl Audit {
    /// Where `RAW` begins by now, what time it is, and how much waits.
    pub(super) async fn look_at_raw(&mut self) -> Result<(), InfoError> {
        let now = self.nats.consumer_info(RAW, AUDIT.name).await?;
        let asked = Instant::now();
        let raw = self.nats.stream_info(RAW).await?;
        self.clock = raw.ts.as_deref().and_then(broker_millis).map(|time| (time, asked)).or(self.clock);
        if now.num_pending == 0 {
            self.moved_at = asked;
        }
        if let Some((before, _)) = &self.seen {
            let passed_over = passed_over(before, &now, raw.state.first_seq);
            if passed_over > 0 {
                self.metrics.passed_over.increment(passed_over);
                warn!(
                    at_least = passed_over,
                    "RAW was trimmed before the audit had read it: nothing is known of these"
                );
            }
        }
        self.seen = Some((now, asked));
        let kept = self.open.split_off(&raw.state.first_seq);
        let mut settled = Vec::new();
        for held in std::mem::replace(&mut self.open, kept).into_values() {
            let id = held.request.id;
            warn!(request_id = %id, missing = held.missing, "RAW let go of a request that was not accounted for");
            self.metrics.trimmed.increment(1);
            settled.push(held.delivery.ack());
        }
        self.nats.settle(settled).await;
        Ok(())
    }

    #[expect(clippy::cast_precision_loss, reason = "gauges are floats")]
    pub(super) fn tell(&self) {
        let missing = self.open.values().filter(|held| held.missing).count() as u64;
        self.metrics.missing_now.set(missing as f64);
        let mut age = 0.0_f64;
        if let Some((seen, at)) = &self.seen {
            let waiting = seen.num_pending.saturating_add(seen.num_ack_pending);
            self.metrics.in_flight.set(waiting.saturating_sub(missing) as f64);
            // Something waits that is not read, or nobody can say.
            if seen.num_pending > 0 || at.elapsed() > LOOK * 3 {
                age = self.moved_at.elapsed().as_secs_f64();
            }
        }
        let oldest = self
            .open
            .values()
            .filter(|held| !held.missing)
            .chain(&self.fresh)
            .map(|held| held.delivery.info().stored_at)
            .min();
        if let (Some(oldest), Some(now)) = (oldest, self.now()) {
            age = age.max(now.saturating_sub(oldest) as f64 / 1000.0);
        }
        self.metrics.age_seconds.set(age);
    }
}

/// How many requests `RAW` let go of before they were delivered; at least, since what came in meanwhile is not known.
fn passed_over(before: &ConsumerInfo, now: &ConsumerInfo, first: u64) -> u64 {
    if first <= before.delivered.stream_seq.saturating_add(1) {
        return 0;
    }
    let delivered = now.delivered.consumer_seq.saturating_sub(before.delivered.consumer_seq);
    before.num_pending.saturating_sub(now.num_pending.saturating_add(delivered))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn seen(delivered: u64, stream: u64, pending: u64) -> ConsumerInfo {
        serde_json::from_value(json!({
            "config": {}, "ack_floor": { "consumer_seq": 0, "stream_seq": 0 },
            "delivered": { "consumer_seq": delivered, "stream_seq": stream },
            "num_ack_pending": 0, "num_pending": pending,
        }))
        .unwrap()
    }

    #[test]
    fn what_went_before_it_was_read_is_counted_and_nothing_else_is() {
        let before = seen(100, 120, 50);
        assert_eq!(passed_over(&before, &seen(110, 130, 40), 1), 0, "read, and nothing was trimmed");
        assert_eq!(passed_over(&before, &seen(100, 120, 10), 165), 40);
        assert_eq!(passed_over(&before, &seen(105, 170, 5), 165), 40, "some were read after those that went");
        assert_eq!(passed_over(&seen(100, 120, 0), &seen(100, 120, 0), 900), 0, "only what it does not read went");
    }
}
