//! How many gateways there are: each says every few seconds that it is there, and hears the others.
//!
//! It is needed only where limits cannot be kept together, so that each takes its share; nobody is asked, and nothing is
//! stored. A gateway that does not even hear itself has no connection, and forgets nobody.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use metrics::Gauge;
use runtime::nats::Nats;
use runtime::tasks::Outcome;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::debug;
use uuid::Uuid;

/// Where gateways say that they are there. The payload is 16 bytes that are a process's own.
const SUBJECT: &str = "penstock.gateways";
/// How often each does.
const EVERY: Duration = Duration::from_secs(2);
/// One that was not heard for so long is gone.
const GONE: Duration = Duration::from_secs(10);
/// More are not told apart.
const MOST: usize = 10_000;

/// Who was heard, and when.
#[derive(Debug)]
struct Heard {
    own: Uuid,
    at: HashMap<Uuid, Instant>,
}

impl Heard {
    fn hear(&mut self, payload: &[u8], now: Instant) {
        if let Ok(id) = Uuid::from_slice(payload)
            && (self.at.len() < MOST || self.at.contains_key(&id))
        {
            self.at.insert(id, now);
        }
    }

    /// How many there are.
    fn count(&mut self, now: Instant) -> u64 {
        let is_here = |at: &Instant| now.saturating_duration_since(*at) < GONE;
        if self.at.get(&self.own).is_some_and(is_here) {
            self.at.retain(|_, at| is_here(at));
        }
        u64::try_from(self.at.len()).unwrap_or(u64::MAX).max(1)
    }
}

/// Keeps `gateways` current until shutdown.
pub async fn run(nats: Nats, gateways: Arc<AtomicU64>, gauge: Gauge, shutdown: CancellationToken) -> Outcome {
    let mut heard = Heard { own: Uuid::new_v4(), at: HashMap::new() };
    let mut messages = nats.client().subscribe(SUBJECT).await?;
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            message = messages.next() => match message {
                Some(message) => heard.hear(&message.payload, Instant::now()),
                None => return Err("the subscription to the other gateways has ended".into()),
            },
            _ = tick.tick() => {
                let own = heard.own.as_bytes().to_vec();
                if let Err(error) = nats.client().publish(SUBJECT, own.into()).await {
                    debug!(%error, "could not tell the other gateways of this one");
                }
                let count = heard.count(Instant::now());
                gateways.store(count, Ordering::Relaxed);
                #[expect(clippy::cast_precision_loss, reason = "a gauge of gateways")]
                gauge.set(count as f64);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_heard_any_more_is_gone_unless_nobody_is_heard() {
        let (own, other, begun) = (Uuid::from_u128(1), Uuid::from_u128(2), Instant::now());
        let mut heard = Heard { own, at: HashMap::new() };
        assert_eq!(heard.count(begun), 1);
        for (after, who, count) in [(0, own, 1), (1, other, 2), (9, own, 2), (12, own, 1)] {
            let now = begun + Duration::from_secs(after);
            heard.hear(who.as_bytes(), now);
            assert_eq!(heard.count(now), count, "after {after} s");
        }
        heard.hear(other.as_bytes(), begun + Duration::from_secs(12));
        assert_eq!(heard.count(begun + Duration::from_secs(100)), 2, "without a connection");
        heard.hear(b"not an id", begun);
        assert_eq!(heard.at.len(), 2);
    }
}
