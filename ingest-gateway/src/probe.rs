//! Keeps finding out whether the gateway can do its job: the streams are what they must be, `RAW` acknowledges, and
//! this machine's clock is right.
//!
//! The probe is a real message, on a subject of `RAW` that no consumer takes and no count shows; it goes out only while
//! there is no traffic, and is trimmed with everything else. Nothing less would do: a publish that the broker refuses
//! or recognises as a repeat is answered before the store is asked, so it succeeds on a stream that is full.

use std::sync::Arc;
use std::time::{Duration, Instant};

use runtime::error_chain::Chain;
use runtime::health::Dependency;
use runtime::nats::Nats;
use runtime::provision::ProvisionError;
use runtime::stream_info::broker_millis;
use runtime::tasks::Outcome;
use runtime::topology::{BODIES, HELD, RAW};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::clock::{BrokerClock, READY_MS, Reading, Uncertain};
use crate::metrics::GatewayMetrics;
use crate::pulse::Pulse;
use crate::store::Store;

/// Where probes go: in `RAW`, and of no channel.
pub const SUBJECT: &str = "raw.probe";
/// How often readiness is looked at.
const TICK: Duration = Duration::from_millis(500);
/// How long a probe may take.
const PROBE_TIMEOUT: Duration = Duration::from_millis(1500);
/// How often the broker's clock is asked for.
const CLOCK_EVERY: Duration = Duration::from_secs(10);

/// Everything that readiness rests on.
#[derive(Debug)]
pub struct Prober {
    /// For asking about streams.
    pub nats: Nats,
    /// For probing.
    pub store: Store,
    /// What is known of `RAW`.
    pub pulse: Arc<Pulse>,
    /// What is known of the clocks.
    pub clock: Arc<BrokerClock>,
    /// Where it is counted.
    pub metrics: Arc<GatewayMetrics>,
    /// Told how `RAW` is.
    pub raw: Dependency,
    /// Told how the clock is.
    pub time: Dependency,
}

impl Prober {
    /// Looks until shutdown. Streams that are not what they must be end it with an error, and the process with it.
    pub async fn run(self, shutdown: CancellationToken) -> Outcome {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut clock_asked: Option<Instant> = None;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                _ = tick.tick() => {}
            }
            if !self.pulse.is_sound() {
                self.check().await?;
            }
            if self.pulse.is_sound() {
                let is_due = clock_asked.is_none_or(|asked| asked.elapsed() >= CLOCK_EVERY);
                if (is_due || self.clock.ahead_ms(Reading::now()).is_none()) && self.ask_clock().await {
                    clock_asked = Some(Instant::now());
                }
                self.probe().await;
            }
            match self.pulse.verdict(Instant::now()) {
                Ok(why) => self.raw.ok(why),
                Err(why) => self.raw.failed(why),
            }
        }
    }

    /// Looks at the streams and compares the clocks: requests are stored after both. What the broker cannot be asked now
    /// is asked again at the next tick.
    pub async fn check(&self) -> Result<(), ProvisionError> {
        match self.nats.check_streams(&[RAW, BODIES, HELD]).await {
            Ok(()) => {
                self.pulse.set_sound();
                self.ask_clock().await;
            }
            Err(ProvisionError::Looking(error)) => debug!(error = %Chain(&error), "could not look at the streams"),
            Err(wrong) => return Err(wrong),
        }
        Ok(())
    }

    async fn probe(&self) {
        let Some(bytes) = self.pulse.probe(Instant::now()) else { return };
        self.metrics.probes.increment(1);
        if let Err(error) = self.store.probe(SUBJECT, bytes, PROBE_TIMEOUT).await {
            debug!(error = %Chain(&error), "a probe was not acknowledged");
        }
    }

    /// Compares the clocks; whether that could be done.
    async fn ask_clock(&self) -> bool {
        let asked = Reading::now();
        let info = self.nats.stream_info(RAW).await;
        let answered = Reading::now();
        let broker = info.ok().and_then(|info| info.ts).as_deref().and_then(broker_millis);
        let told = broker.is_some_and(|broker| self.clock.told(broker, asked, answered));
        match self.clock.ahead_ms(answered) {
            None => self.time.failed(Uncertain.to_string()),
            Some(ahead) => {
                #[expect(clippy::cast_precision_loss, reason = "a gauge of seconds")]
                self.metrics.clock_ahead.set(ahead as f64 / 1000.0);
                if ahead.saturating_abs() > READY_MS {
                    self.time.failed(format!("this machine's clock is {} s off the broker's", -ahead / 1000));
                } else {
                    self.time.ok("the broker's clock agrees");
                }
            }
        }
        told
    }
}
