//! Records in PostgreSQL what the stages gave up on, so that every accepted request has an ending there.
//!
//! The letter itself stays in `DLQ` for a person to look at and to replay; acknowledging it here only means that its
//! entry in `dead_letters` is committed.

use std::sync::Arc;
use std::time::Duration;

use proto::DeadLetterEnvelope;
use runtime::backoff::Backoff;
use runtime::delivery::{Delivery, Settled};
use runtime::error_chain::Chain;
use runtime::health::Dependency;
use runtime::kill_point;
use runtime::worker::Stage;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::headers::Headers;
use crate::store::Store;

/// How long the broker waits before it delivers what was given back.
const AGAIN: Duration = Duration::from_secs(2);

/// The stage.
#[derive(Debug)]
pub struct Letters {
    pub(crate) store: Arc<Store>,
    pub(crate) database: Dependency,
    pub(crate) shutdown: CancellationToken,
}

impl Stage for Letters {
    async fn process(&self, batch: Vec<Delivery>) -> Vec<Settled> {
        let letters: Vec<DeadLetterEnvelope> = batch
            .iter()
            .filter_map(|delivery| {
                DeadLetterEnvelope::read(&Headers(delivery))
                    .map_err(
                        |error| error!(subject = delivery.subject(), %error, "a dead letter is not ours; left there"),
                    )
                    .ok()
            })
            .collect();
        let recorded = self.record(&letters).await;
        batch.into_iter().map(|delivery| if recorded { delivery.ack() } else { delivery.retry(AGAIN) }).collect()
    }
}

impl Letters {
    /// Records until the database takes them; false where shutdown came first.
    async fn record(&self, letters: &[DeadLetterEnvelope]) -> bool {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
        loop {
            match self.store.record_dead_letters(letters).await {
                Ok(()) => {
                    kill_point::reached("persister.letters-recorded");
                    self.database.ok("takes dead letters");
                    return true;
                }
                Err(error) => {
                    warn!(letters = letters.len(), error = %Chain(&error), "waiting for PostgreSQL");
                    self.database.failed(Chain(&error).to_string());
                }
            }
            tokio::select! {
                () = self.shutdown.cancelled() => return false,
                () = tokio::time::sleep(backoff.wait()) => {}
            }
        }
    }
}
