//! The rows of `dead_letters`: what a stage gave up on, without content. Recording one again changes nothing.

use proto::DeadLetterEnvelope;
use sqlx::Arguments as _;
use sqlx::Connection as _;
use sqlx::postgres::{PgArguments, PgBindIterExt as _, PgPool};

use crate::columns::EncodeError;
use crate::store::StoreError;

/// Excludes every batch: an entry written at the very moment its record is stored would see no row and stay open.
const BEGIN_ALONE: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock(7236834, 1)";

pub(crate) async fn record(pool: PgPool, letters: &[DeadLetterEnvelope]) -> Result<(), StoreError> {
    if letters.is_empty() {
        return Ok(());
    }
    let arguments = arguments(letters).map_err(StoreError::Encode)?;
    #[expect(clippy::disallowed_methods, reason = "awaited here; apart from it only so that it outlives the caller")]
    let task = tokio::spawn(async move {
        let mut connection = pool.acquire().await.map_err(StoreError::Connect)?;
        let mut transaction = connection.begin_with(BEGIN_ALONE).await.map_err(StoreError::DeadLetters)?;
        sqlx::query_with(include_str!("sql/dead_letters.sql"), arguments)
            .execute(&mut *transaction)
            .await
            .map_err(StoreError::DeadLetters)?;
        transaction.commit().await.map_err(StoreError::DeadLetters)
    });
    task.await.map_err(|_| StoreError::Task)?
}

fn arguments(letters: &[DeadLetterEnvelope]) -> Result<PgArguments, EncodeError> {
    let mut arguments = PgArguments::default();
    arguments.add(letters.iter().map(|letter| letter.record).bind_iter())?;
    arguments.add(letters.iter().map(|letter| letter.received_at.to_datetime()).bind_iter())?;
    arguments.add(letters.iter().map(|letter| letter.request_id).bind_iter())?;
    arguments.add(letters.iter().map(|letter| letter.part.try_into().unwrap_or(i32::MAX)).bind_iter())?;
    arguments.add(letters.iter().map(|letter| letter.stage.as_str()).bind_iter())?;
    arguments.add(letters.iter().map(|letter| letter.channel.as_str()).bind_iter())?;
    arguments.add(letters.iter().map(|letter| letter.source.as_str()).bind_iter())?;
    arguments.add(letters.iter().map(|letter| storable(&letter.reason)).bind_iter())?;
    arguments.add(letters.iter().map(|letter| storable(&letter.detail)).bind_iter())?;
    Ok(arguments)
}

/// The last resort must not fail: what PostgreSQL cannot hold is taken out.
fn storable(text: &str) -> String {
    text.replace('\0', "")
}
