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
use runtime::stream_watch;
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
    /// Told how the streams are.
    pub streams: Dependency,
}

/// What a request rests on.
const STREAMS: [&str; 3] = [RAW, BODIES, HELD];

impl Prober {
    /// Looks until shutdown. Streams that are not what they must be when they are first looked at end it with an error,
    /// and the process with it. Later they are somebody's mistake while requests come in: those hear 503 until it is
    /// mended, because what a changed stream takes in may be lost.
    pub async fn run(self, shutdown: CancellationToken) -> Outcome {
        let mut streams_looked_at = Instant::now();
        let mut trusted = self.pulse.is_sound();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut clock_asked: Option<Instant> = None;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                _ = tick.tick() => {}
            }
            if !trusted {
                self.check().await?;
                trusted = self.pulse.is_sound();
            } else if !self.pulse.is_sound() || streams_looked_at.elapsed() >= stream_watch::EVERY {
                streams_looked_at = Instant::now();
                self.look_again().await;
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
        match self.nats.check_streams(&STREAMS).await {
            Ok(()) => {
                self.pulse.set_sound(true);
                self.metrics.stream_faults.set(0.0);
                self.streams.ok("as they must be");
                self.ask_clock().await;
            }
            Err(ProvisionError::Looking(error)) => debug!(error = %Chain(&error), "could not look at the streams"),
            Err(wrong) => return Err(wrong),
        }
        Ok(())
    }

    /// Looks at streams that were what they must be. What the broker cannot be asked now stays as it was.
    async fn look_again(&self) {
        match self.nats.changed_for_the_worse(&STREAMS, &[]).await {
            Err(error) => debug!(error = %Chain(&error), "could not look at the streams"),
            Ok(faults) => {
                self.pulse.set_sound(faults.is_empty());
                self.metrics.stream_faults.set(f64::from(u32::try_from(faults.len()).unwrap_or(u32::MAX)));
                if faults.is_empty() {
                    self.streams.ok("as they must be");
                } else {
                    self.streams.failed(stream_watch::advice(&faults));
                }
            }
        }
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
