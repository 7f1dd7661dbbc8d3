//! Waits until requests have come to their end: what is on its way is never taken away under a stage's hands, and the
//! records of others in the same request become rows first.

use std::collections::BTreeMap;
use std::time::Duration;

use persister::audit::course::{Course, Place, Stage};
use persister::audit::view;
use proto::Channel;
use runtime::nats::Nats;
use runtime::topology::{RAW, REPLAY};
use tokio::time::{Instant, sleep};

use super::search::Hit;
use crate::commands::error::CommandError;
use crate::commands::out;

/// Passes through the stages after which everything that was accepted before them has ended.
const PASSES: u32 = 2;
/// Between two looks at the stages.
const STEP: Duration = Duration::from_millis(250);

/// Waits until every stage is done with what came of these, and with all replays if one of them is being replayed.
pub(super) async fn for_the_end(nats: &Nats, hits: &[Hit], patience: Duration) -> Result<(), CommandError> {
    let mut last: BTreeMap<Channel, u64> = BTreeMap::new();
    for hit in hits.iter().filter(|hit| hit.stream == RAW) {
        if let Some(channel) = hit.channel {
            let last = last.entry(channel).or_default();
            *last = (*last).max(hit.sequence);
        }
    }
    let replayed =
        if hits.iter().any(|hit| hit.stream == REPLAY) { Some(view::last_replay(nats).await?) } else { None };
    let (begun, mut course, mut told) = (Instant::now(), Course::default(), false);
    loop {
        let waits = last.iter().find_map(|(channel, sequence)| match course.place(*channel, *sequence) {
            Place::At(stage) => Some(stage),
            Place::Through => None,
        });
        if waits.is_none() && replayed.is_none_or(|last| course.replays_are_through(last)) {
            return Ok(());
        }
        if begun.elapsed() >= patience {
            let stage = word(waits.unwrap_or(Stage::Normalizer));
            let what = format!("a request of his is still on its way, at the {stage}; nothing was erased");
            let next = "look at `penstock status` for a stage that stands still, or give it longer: --wait 1h";
            return Err(CommandError::finding(what, next));
        }
        if !told && begun.elapsed() >= Duration::from_secs(2) {
            told = true;
            out::note("waiting for what is on its way to come to its end ...");
        }
        course.observe(&view::snapshot(nats).await?);
        sleep(STEP).await;
    }
}

/// Waits until the stages are done with everything that was on its way; false where one stands still.
pub(super) async fn for_everything(nats: &Nats, patience: Duration) -> Result<bool, CommandError> {
    let (begun, mut course, mut passes) = (Instant::now(), Course::default(), 0);
    while passes < PASSES {
        if begun.elapsed() >= patience {
            return Ok(false);
        }
        passes += u32::from(course.observe(&view::snapshot(nats).await?));
        sleep(STEP).await;
    }
    Ok(true)
}

fn word(stage: Stage) -> &'static str {
    match stage {
        Stage::Normalizer => "normalizer",
        Stage::Dedup => "dedup worker",
        Stage::Persister | Stage::DeadLetters => "persister",
    }
}
