//! Logs and metrics of a process: installed once, before anything can log or take a metric handle.
//!
//! Without buckets the exporter renders summaries, which cannot be added up over replicas; without upkeep its samples
//! pile up for ever. Both are seen to here.

use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};
use crate::tasks::Outcome;

/// Seconds; from what one broker round trip takes to the patience of the slowest provider.
const SECONDS: &[f64] = &[
    0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
    30.0, 60.0, 300.0, 3600.0,
];
/// Messages in a batch.
const MESSAGES: &[f64] = &[1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0];
/// How often samples are folded into the histograms.
const UPKEEP: Duration = Duration::from_secs(2);

/// Why metrics or logs could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The exporter refused its buckets.
    #[error("could not set up histogram buckets")]
    Buckets(#[source] BuildError),
    /// Something else in this process has a recorder already.
    #[error("could not install the metrics recorder")]
    Recorder(#[source] BuildError),
    /// `log.level` is no filter.
    #[error("log.level is not a filter such as \"info\" or \"info,async_nats=debug\"")]
    Filter(#[source] tracing_subscriber::filter::ParseError),
    /// Something else in this process has a subscriber already.
    #[error("could not install the log subscriber")]
    Subscriber(#[source] tracing_subscriber::util::TryInitError),
}

/// The metrics of this process, ready to be rendered; proof that the recorder is installed: a handle taken before
/// that records nothing, for ever.
#[derive(Clone, Debug)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// Installs the recorder.
    pub fn install() -> Result<Self, TelemetryError> {
        PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), SECONDS)
            .map_err(TelemetryError::Buckets)?
            .set_buckets_for_metric(Matcher::Suffix("_batch_messages".into()), MESSAGES)
            .map_err(TelemetryError::Buckets)?
            .install_recorder()
            .map(Self)
            .map_err(TelemetryError::Recorder)
    }

    /// The exposition text.
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Folds samples until shutdown.
    pub async fn upkeep(self, shutdown: tokio_util::sync::CancellationToken) -> Outcome {
        let mut tick = tokio::time::interval(UPKEEP);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                _ = tick.tick() => self.0.run_upkeep(),
            }
        }
    }
}

/// Installs the log subscriber.
pub fn install_logs(config: &Log) -> Result<(), TelemetryError> {
    use tracing_subscriber::util::SubscriberInitExt as _;
    let filter = EnvFilter::try_new(&config.level).map_err(TelemetryError::Filter)?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // It would be told of on the same full disk, by a call that panics when it cannot write.
    let builder = builder.log_internal_errors(false);
    match config.format {
        LogFormat::Json => builder.json().flatten_event(true).finish().try_init(),
        LogFormat::Pretty => {
            builder.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).finish().try_init()
        }
    }
    .map_err(TelemetryError::Subscriber)
}
