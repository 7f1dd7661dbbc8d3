//! What tells `up` to stop: Ctrl-C, SIGTERM, and the terminal going away.

use std::io::IsTerminal;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Listens from its making on: a signal in between is not lost.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// Only where there is a terminal to lose: under `nohup` it is to be ignored.
    hang_up: Option<Signal>,
}

impl Signals {
    pub(crate) fn listen() -> std::io::Result<Self> {
        let hang_up = std::io::stdin().is_terminal().then(|| signal(SignalKind::hangup())).transpose()?;
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())?, hang_up })
    }

    /// The next request to stop.
    pub(crate) async fn stop(&mut self) {
        let hang_up = async {
            match &mut self.hang_up {
                Some(signal) => signal.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = hang_up => {}
        }
    }
}
