//! The tasks of a process, supervised: one that ends before shutdown ends the process, so that none dies in silence.

use std::future::Future;
use std::process::ExitCode;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::error_chain::Chain;
use crate::panics;

/// What a task ends with: nothing, or why it could not go on.
pub type Outcome = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// The tasks of a process.
#[derive(Debug)]
pub struct Tasks {
    running: JoinSet<(&'static str, Outcome)>,
    shutdown: CancellationToken,
}

impl Tasks {
    /// No task yet. Cancelling `shutdown` asks all of them to finish.
    pub fn new(shutdown: CancellationToken) -> Self {
        Self { running: JoinSet::new(), shutdown }
    }

    /// Starts a task that goes on until shutdown is asked for, finishes what it has in hand, and returns.
    pub fn spawn(&mut self, name: &'static str, task: impl Future<Output = Outcome> + Send + 'static) {
        self.running.spawn(async move { (name, task.await) });
    }

    /// Waits for shutdown or for the first task to end, then gives the others `grace` to finish.
    ///
    /// `abort` ends the wait at once (a second signal). Success only where nothing ended early, failed, or was left.
    pub async fn run(mut self, grace: Duration, abort: CancellationToken) -> ExitCode {
        // Biased: a task that ends because it was asked to has not ended early, however quick it was.
        let mut failed = tokio::select! {
            biased;
            () = self.shutdown.cancelled() => false,
            Some(ended) = self.running.join_next() => {
                log_end(&ended);
                error!("a task ended before shutdown was asked for; the process ends with it");
                true
            }
        };
        self.shutdown.cancel();

        let drained = tokio::select! {
            () = abort.cancelled() => false,
            drained = timeout(grace, async {
                while let Some(ended) = self.running.join_next().await {
                    failed |= log_end(&ended);
                }
            }) => drained.is_ok(),
        };
        if drained {
            info!("everything in hand is finished");
        } else {
            warn!(left = self.running.len(), "time is up; what is unfinished comes back after ack_wait");
        }
        if drained && !failed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    /// Drives `work` to its end while these tasks go on beside it, and then gives them up. One that fails, or that ends
    /// before shutdown was asked for, asks `work` to finish and fails the process.
    pub async fn beside(mut self, work: impl Future<Output = ExitCode>) -> ExitCode {
        let mut work = std::pin::pin!(work);
        let mut failed = false;
        loop {
            tokio::select! {
                biased;
                code = &mut work => return if failed { ExitCode::FAILURE } else { code },
                Some(ended) = self.running.join_next() => {
                    let early = !self.shutdown.is_cancelled();
                    if log_end(&ended) || early {
                        error!("a task of the process itself ended; the process ends with it");
                        failed = true;
                        self.shutdown.cancel();
                    }
                }
            }
        }
    }
}

/// Logs how a task ended; true where it failed.
fn log_end(ended: &Result<(&'static str, Outcome), JoinError>) -> bool {
    match ended {
        Ok((task, Ok(()))) => {
            tracing::debug!(task, "task finished");
            false
        }
        Ok((task, Err(error))) => {
            error!(task, error = %Chain(error.as_ref()), "task failed");
            true
        }
        Err(error) => {
            error!(how = panics::ending(error), "a task gave no result");
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tasks() -> (Tasks, CancellationToken) {
        let shutdown = CancellationToken::new();
        (Tasks::new(shutdown.clone()), shutdown)
    }

    async fn outcome(tasks: Tasks) -> String {
        format!("{:?}", tasks.run(Duration::from_millis(50), CancellationToken::new()).await)
    }

    fn success() -> String {
        format!("{:?}", ExitCode::SUCCESS)
    }

    #[tokio::test]
    async fn a_task_that_ends_early_fails_the_process() {
        let (mut tasks, _shutdown) = tasks();
        tasks.spawn("early", async { Ok(()) });
        assert_ne!(outcome(tasks).await, success());
    }

    #[tokio::test]
    async fn tasks_that_finish_when_asked_succeed() {
        let (mut tasks, shutdown) = tasks();
        let asked = shutdown.clone();
        tasks.spawn("polite", async move {
            asked.cancelled().await;
            Ok(())
        });
        shutdown.cancel();
        assert_eq!(outcome(tasks).await, success());
    }

    #[tokio::test]
    async fn a_task_that_finishes_at_once_when_asked_has_not_ended_early() {
        for _ in 0..100 {
            let (mut tasks, shutdown) = tasks();
            let asked = shutdown.clone();
            tasks.spawn("quick", async move {
                asked.cancel();
                Ok(())
            });
            assert_eq!(outcome(tasks).await, success());
        }
    }

    #[tokio::test]
    async fn a_task_that_does_not_finish_fails_the_process_when_time_is_up() {
        let (mut tasks, shutdown) = tasks();
        tasks.spawn("stuck", std::future::pending());
        shutdown.cancel();
        assert_ne!(outcome(tasks).await, success());
    }

    #[tokio::test]
    async fn a_task_that_panics_fails_the_process() {
        let (mut tasks, _shutdown) = tasks();
        tasks.spawn("panicking", async { panic!("on purpose") });
        assert_ne!(outcome(tasks).await, success());
    }

    /// Work that ends well when it is asked to.
    async fn work(shutdown: CancellationToken) -> ExitCode {
        shutdown.cancelled().await;
        ExitCode::SUCCESS
    }

    async fn beside(tasks: Tasks, work: impl Future<Output = ExitCode>) -> String {
        let code = timeout(Duration::from_secs(5), tasks.beside(work)).await;
        format!("{:?}", code.expect("it ends"))
    }

    #[tokio::test]
    async fn what_goes_on_beside_the_work_ends_the_process_when_it_panics_or_ends_early() {
        let (mut panicking, shutdown) = tasks();
        panicking.spawn("signals", async { panic!("on purpose") });
        assert_ne!(beside(panicking, work(shutdown)).await, success());
        let (mut early, shutdown) = tasks();
        early.spawn("signals", async { Ok(()) });
        assert_ne!(beside(early, work(shutdown)).await, success());
    }

    #[tokio::test]
    async fn what_goes_on_beside_the_work_may_end_after_shutdown_and_is_not_waited_for() {
        let (mut tasks, shutdown) = tasks();
        tasks.spawn("admin", std::future::pending());
        let asked = shutdown.clone();
        tasks.spawn("stopping", async move {
            asked.cancelled().await;
            Ok(())
        });
        let asks = shutdown.clone();
        let finishing = async move {
            asks.cancel();
            tokio::task::yield_now().await;
            ExitCode::SUCCESS
        };
        assert_eq!(beside(tasks, finishing).await, success());
    }
}
