//! Writes the rows of `dead_letters` that are missing for entries of `DLQ`.
//!
//! The persister writes a row when an entry comes in, and that is once: a second try that fails the same way finds its
//! place in `DLQ` taken. So where the tables were emptied (to be filled again by a replay), the rows of entries that are
//! still there come from here. Writing one that the persister writes as well changes nothing.

use persister::Store;
use proto::DeadLetterEnvelope;
use runtime::nats::Nats;
use uuid::Uuid;

use super::entries::{Filter, Letter, PAGE};
use crate::commands::database::Database;
use crate::commands::error::CommandError;

/// Writes what is missing of all entries; how many rows that were.
pub(crate) async fn record_missing(nats: &Nats, database: &Database, store: &Store) -> Result<usize, CommandError> {
    let mut pages = Filter::default().pages(nats).await?;
    let mut written = 0;
    loop {
        let letters = pages.next(PAGE).await?;
        if letters.is_empty() {
            return Ok(written);
        }
        written += record_missing_of(&letters, database, store).await?;
    }
}

/// Writes what is missing of these; how many rows that were.
pub(super) async fn record_missing_of(
    letters: &[Letter],
    database: &Database,
    store: &Store,
) -> Result<usize, CommandError> {
    let ids: Vec<Uuid> = letters.iter().map(|letter| letter.envelope.record).collect();
    let known = database.entries(&ids).await?;
    let missing: Vec<DeadLetterEnvelope> = letters
        .iter()
        .map(|letter| letter.envelope.clone())
        .filter(|envelope| !known.contains_key(&envelope.record))
        .collect();
    store.record_dead_letters(&missing).await?;
    Ok(missing.len())
}
