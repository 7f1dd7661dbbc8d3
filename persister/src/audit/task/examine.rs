//! Looks requests up, and judges those that have not ended.

use std::collections::HashMap;

use proto::Millis;
use runtime::stream_info::InfoError;
use tracing::{error, info};
use uuid::Uuid;

use super::{Audit, BATCH, Held};
use crate::audit::endings::Endings;
use crate::audit::judge::{Known, Verdict, judge};
use crate::audit::request::{Request, is_strangers};
use crate::audit::view;
use crate::headers::Headers;
use crate::retention::kept::Kept;
use crate::store::StoreError;

/// Missing requests that are told one by one at a time.
const TOLD: usize = 20;

/// Why a look failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum LookError {
    #[error(transparent)]
    Tables(#[from] StoreError),
    #[error(transparent)]
    Streams(#[from] InfoError),
}

impl Audit {
    /// Looks up what was just read.
    pub(super) async fn look_up(&mut self) -> Result<(), StoreError> {
        let endings =
            self.store.endings(self.fresh.iter().map(|held| (held.request.id, held.request.received_at))).await?;
        let mut settled = Vec::with_capacity(self.fresh.len());
        for held in std::mem::take(&mut self.fresh) {
            if endings.get(&held.request.id).is_some_and(Endings::are_whole) {
                self.metrics.accounted.increment(1);
                settled.push(held.delivery.ack());
            } else if is_strangers(&Headers(&held.delivery)) {
                settled.push(self.not_ours(held.delivery));
            } else {
                let Held { delivery, request, missing } = held;
                let held = Held { delivery: delivery.without_content(), request, missing };
                self.open.insert(held.request.sequence, held);
            }
        }
        self.nats.settle(settled).await;
        Ok(())
    }

    /// Looks up again what has not ended, and judges it.
    pub(super) async fn examine(&mut self) -> Result<(), LookError> {
        let mut endings: HashMap<Uuid, Endings> = HashMap::with_capacity(self.open.len());
        let requests: Vec<(Uuid, Millis)> =
            self.open.values().map(|held| (held.request.id, held.request.received_at)).collect();
        for some in requests.chunks(BATCH) {
            endings.extend(self.store.endings(some.iter().copied()).await?);
        }
        // After the tables: what a replay has brought into them was in REPLAY by then.
        let last_replay = view::last_replay(&self.nats).await?;
        let kept = Kept::of(&self.loaded.borrow().config).not_below(self.raw);
        let known = Known { course: &self.course, last_replay, kept: &kept, now: self.now() };
        let (mut settled, mut told) = (Vec::new(), 0);
        let none = Endings::default();
        for (sequence, mut held) in std::mem::take(&mut self.open) {
            let ended = endings.get(&held.request.id).unwrap_or(&none);
            match judge(&held.request, ended, &known) {
                Verdict::Accounted if held.missing => {
                    self.metrics.found.increment(1);
                    info!(request_id = %held.request.id, "a request that was missing has its endings now");
                    settled.push(held.delivery.ack());
                }
                Verdict::Accounted => {
                    self.metrics.accounted.increment(1);
                    settled.push(held.delivery.ack());
                }
                Verdict::PastRetention => {
                    self.metrics.past_retention.increment(1);
                    settled.push(held.delivery.ack());
                }
                Verdict::Missing if !held.missing => {
                    self.metrics.missing.increment(1);
                    if told < TOLD {
                        tell_missing(&held.request, ended);
                    }
                    told += 1;
                    held.missing = true;
                    self.open.insert(sequence, held);
                }
                Verdict::Missing | Verdict::InFlight(_) => drop(self.open.insert(sequence, held)),
            }
        }
        if told > TOLD {
            error!(more = told - TOLD, "more requests are missing: `penstock audit` lists them");
        }
        self.nats.settle(settled).await;
        Ok(())
    }
}

fn tell_missing(request: &Request, ended: &Endings) {
    error!(
        request_id = %request.id,
        channel = request.channel.as_str(),
        source = %request.source,
        raw_sequence = request.sequence,
        parts = ?ended.lacking(),
        next = format!("penstock explain {id}; penstock replay --id {id}", id = request.id),
        "an accepted request has not ended, and nothing of it is on its way"
    );
}
