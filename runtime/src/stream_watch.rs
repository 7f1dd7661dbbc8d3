//! Whether streams and consumers are still what they must be, while a process runs on them: somebody may change them, or
//! delete one, behind its back.
//!
//! What a reader would get wrong: a process that runs does not end because of it. It says so, and is not ready; what it
//! has in hand waits for `penstock provision`. Only one that starts refuses to.

use std::time::Duration;

use metrics::{Gauge, describe_gauge, gauge};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::error_chain::Chain;
use crate::health::Dependency;
use crate::nats::Nats;
use crate::properties::faults_of_properties;
use crate::stream_info::InfoError;
use crate::tasks::Outcome;

/// How often to look.
pub const EVERY: Duration = Duration::from_secs(10);

/// A number of faults, for an alert.
pub fn faults_gauge() -> Gauge {
    describe_gauge!("penstock_stream_faults", "Properties of streams and consumers that are not as they must be.");
    gauge!("penstock_stream_faults")
}

impl Nats {
    /// What is not as it must be with streams and consumers that were sound when the process started; a line each.
    pub async fn changed_for_the_worse(
        &self,
        streams: &[&str],
        consumers: &[(&str, &str)],
    ) -> Result<Vec<String>, InfoError> {
        self.faults(streams, consumers, faults_of_properties).await
    }
}

/// In words, for who looks at the health of a process.
pub fn advice(faults: &[String]) -> String {
    format!("not as they must be; `penstock provision` mends what can be mended: {}", faults.join("; "))
}

/// Looks until shutdown, and tells `health`. What NATS cannot be asked now stays as it was last told.
pub async fn run(
    nats: Nats,
    streams: Vec<&'static str>,
    consumers: Vec<(&'static str, &'static str)>,
    health: Dependency,
    shutdown: CancellationToken,
) -> Outcome {
    let gauge = faults_gauge();
    gauge.set(0.0);
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while shutdown.run_until_cancelled(tick.tick()).await.is_some() {
        match nats.changed_for_the_worse(&streams, &consumers).await {
            Err(error) => debug!(error = %Chain(&error), "could not look at the streams"),
            Ok(faults) if faults.is_empty() => {
                gauge.set(0.0);
                health.ok("as they must be");
            }
            Ok(faults) => {
                gauge.set(f64::from(u32::try_from(faults.len()).unwrap_or(u32::MAX)));
                warn!(faults = faults.join("; "), "streams or consumers are not as they must be");
                health.failed(advice(&faults));
            }
        }
    }
    Ok(())
}
