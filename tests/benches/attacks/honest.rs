//! The honest client: requests at an even pace, each over a connection of its own, signed as they should be.
//!
//! Latency counts from when a request was due: a gateway that stalls cannot look better by being asked less.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tests::config::STANDARD;
use tests::sign::standard_request;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// From one request to the next.
const PACE: Duration = Duration::from_millis(20);

/// Milliseconds from due to answered, of all phases of one kind.
#[derive(Default)]
pub(crate) struct Latencies {
    /// Answered with 200.
    millis: Vec<f64>,
    refused: usize,
}

impl Latencies {
    pub(crate) fn add(&mut self, other: Self) {
        self.millis.extend(other.millis);
        self.millis.sort_by(f64::total_cmp);
        self.refused += other.refused;
    }

    /// How many were not answered with 200.
    pub(crate) fn refused(&self) -> usize {
        self.refused
    }

    pub(crate) fn asked(&self) -> usize {
        self.millis.len() + self.refused
    }

    /// Of those that were; the smallest one that so many percent do not exceed.
    pub(crate) fn percentile(&self, percent: usize) -> f64 {
        let place = (self.millis.len() * percent).div_ceil(100).saturating_sub(1);
        self.millis.get(place).copied().unwrap_or(f64::NAN)
    }
}

/// Asks for a while, and waits for every answer.
pub(crate) async fn ask(url: &str, lasts: Duration) -> Latencies {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let (begun, mut answers) = (Instant::now(), JoinSet::new());
    let mut due = begun;
    while due < begun + lasts {
        sleep_until(due).await;
        let id = format!("honest-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let (request, url) =
            (standard_request(STANDARD, "orders", &id, &format!(r#"{{"id": "{id}"}}"#)), url.to_owned());
        answers.spawn(async move {
            let status = request.send(&url).await.map(|answer| answer.status);
            (due.elapsed().as_secs_f64() * 1000.0, matches!(status, Ok(200)))
        });
        due += PACE;
    }
    let mut seen = Latencies::default();
    for (millis, accepted) in answers.join_all().await {
        if accepted {
            seen.millis.push(millis);
        } else {
            seen.refused += 1;
        }
    }
    seen.millis.sort_by(f64::total_cmp);
    seen
}
