//! Many messages stored as one, with one flush to the disk: an atomic batch (NATS ADR-50).
//!
//! Worth it where the broker flushes before it acknowledges (`sync_interval: always`): each message then costs a flush,
//! and so does each batch. Without that a batch costs the broker more than the same messages one by one.
//!
//! The broker takes a batch as a whole or not at all, and one message that it has stored before is enough for not at
//! all. So a refusal says nothing about the messages: they are then published one by one, under the same ids, and each
//! has its own answer. That is also what becomes of a batch whose acknowledgement was lost.

use async_nats::HeaderMap;
use async_nats::header::{NATS_BATCH_COMMIT, NATS_BATCH_COMMIT_FINAL, NATS_BATCH_ID, NATS_BATCH_SEQUENCE};
use tokio::time::timeout_at;
use tracing::debug;
use uuid::Uuid;

use crate::error_chain::Chain;
use crate::kill_point;
use crate::nats::Nats;
use crate::publish::{Outgoing, Patience, PublishError, Published};

/// The broker takes 1,000 messages in a batch.
const MOST: usize = 500;

impl Nats {
    /// Publishes like [`Self::publish_all`], and in atomic batches where `nats.group_commit` is on. The stream must
    /// allow them.
    pub async fn publish_group<T: Sync>(
        &self,
        items: &[T],
        make: impl Fn(&T) -> Option<Outgoing> + Sync,
        patience: Patience<'_>,
    ) -> Vec<Result<Published, PublishError>> {
        if !self.commits_groups() {
            return self.publish_all(items, make, patience).await;
        }
        let mut results = Vec::with_capacity(items.len());
        for group in items.chunks(MOST) {
            let messages: Option<Vec<Outgoing>> =
                if group.len() > 1 { group.iter().map(&make).collect() } else { None };
            let committed = match messages {
                Some(messages) => self.commit(messages, patience).await,
                None => None,
            };
            match committed {
                Some(stored) => results.extend(stored.into_iter().map(Ok)),
                None => results.extend(self.publish_all(group, &make, patience).await),
            }
        }
        results
    }

    /// Publishes a batch; `None` where it is not known to be stored.
    async fn commit(&self, messages: Vec<Outgoing>, patience: Patience<'_>) -> Option<Vec<Published>> {
        let (batch, size) = (Uuid::new_v4().simple().to_string(), messages.len());
        let mut messages = messages.into_iter().zip(1_u64..).map(|(mut message, number)| {
            label(&mut message.headers, &batch, number);
            message
        });
        let exchange = async {
            for message in messages.by_ref().take(size - 1) {
                self.client().publish_with_headers(message.subject, message.headers, message.payload).await.ok()?;
            }
            kill_point::reached("group.open");
            let mut last = messages.next()?;
            last.headers.insert(NATS_BATCH_COMMIT, NATS_BATCH_COMMIT_FINAL);
            match self.jetstream().publish_with_headers(last.subject, last.headers, last.payload).await {
                Ok(acknowledged) => Some(acknowledged.await),
                Err(error) => Some(Err(error)),
            }
        };
        let answer = match patience {
            Patience::Until(deadline) => timeout_at(deadline, exchange).await.ok()??,
            Patience::UntilShutdown(_) => exchange.await?,
        };
        match answer {
            Ok(acknowledged) => {
                kill_point::reached("group.stored");
                self.answered();
                // The batch lies in one piece, and what is acknowledged is its end.
                let first = (acknowledged.sequence + 1).checked_sub(size as u64)?;
                Some((first..=acknowledged.sequence).map(|sequence| Published { sequence, repeat: false }).collect())
            }
            Err(error) => {
                debug!(error = %Chain(&error), size, "a batch was not taken as one; its messages go one by one");
                None
            }
        }
    }
}

fn label(headers: &mut HeaderMap, batch: &str, number: u64) {
    headers.insert(NATS_BATCH_ID, batch);
    headers.insert(NATS_BATCH_SEQUENCE, number.to_string());
}
