//! Writes the rows of `dead_letters` that are missing for entries of `DLQ`.
//!
//! The persister writes a row when an entry comes in, and that is once: a second try that fails the same way finds its
//! place in `DLQ` taken. So where the tables were emptied (to be filled again by a replay), the rows of entries that are
//! still there come from here. Writing one that the persister writes as well changes nothing.

use persister::Store;
use proto::DeadLetterEnvelope;
use runtime::nats::Nats;
use uuid::Uuid;

use super::entries::Filter;
use crate::commands::database::Database;
use crate::commands::error::CommandError;

/// Rows written in one statement.
const BATCH: usize = 1000;

/// Writes what is missing; how many rows that were.
pub(crate) async fn record_missing(nats: &Nats, database: &Database, store: &Store) -> Result<usize, CommandError> {
    let (letters, _) = Filter::default().entries(nats, usize::MAX, false).await?;
    let mut written = 0;
    for batch in letters.chunks(BATCH) {
        let ids: Vec<Uuid> = batch.iter().map(|letter| letter.envelope.record).collect();
        let known = database.entries(&ids).await?;
        let missing: Vec<DeadLetterEnvelope> = batch
            .iter()
            .map(|letter| letter.envelope.clone())
            .filter(|envelope| !known.contains_key(&envelope.record))
            .collect();
        store.record_dead_letters(&missing).await?;
        written += missing.len();
    }
    Ok(written)
}
