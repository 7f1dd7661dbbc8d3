//! SIGTERM and SIGINT become a shutdown, a second one an abort, SIGHUP a reload.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::tasks::Outcome;

/// The signals a process listens to.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// Takes over the signals; from here on they no longer kill the process.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Turns signals into the two tokens and calls to `reload`, until the second termination.
    pub async fn run(mut self, shutdown: CancellationToken, abort: CancellationToken, reload: impl Fn()) -> Outcome {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => terminate(&shutdown, &abort),
                _ = self.interrupt.recv() => terminate(&shutdown, &abort),
                _ = self.hangup.recv() => {
                    info!("SIGHUP: reading the configuration again");
                    reload();
                }
            }
            if abort.is_cancelled() {
                return Ok(());
            }
        }
    }
}

fn terminate(shutdown: &CancellationToken, abort: &CancellationToken) {
    if shutdown.is_cancelled() {
        warn!("a second signal: ending at once");
        abort.cancel();
    } else {
        info!("shutting down: finishing what is in hand");
        shutdown.cancel();
    }
}
