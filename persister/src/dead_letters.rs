//! The rows of `dead_letters`: what a stage gave up on, without content. Recording one again changes nothing.

use proto::DeadLetterEnvelope;
use sqlx::Arguments as _;
use sqlx::postgres::{PgArguments, PgBindIterExt as _, PgPool};

use crate::columns::EncodeError;
use crate::session::{ALONE, End, Failed, transact};
use crate::store::StoreError;

/// Alone, beside no batch: an entry written at the very moment its record is stored would see no row and stay open.
pub(crate) async fn record(pool: PgPool, letters: &[DeadLetterEnvelope]) -> Result<(), StoreError> {
    if letters.is_empty() {
        return Ok(());
    }
    let arguments = arguments(letters).map_err(StoreError::Encode)?;
    let work = transact(pool, End::Commit, |connection| {
        Box::pin(async move {
            // A statement of its own: the next one must see what was committed while this one waited.
            sqlx::query(ALONE).execute(&mut *connection).await?;
            sqlx::query_with(include_str!("sql/dead_letters.sql"), arguments).execute(connection).await?;
            Ok(())
        })
    });
    work.await.map_err(|failed| match failed {
        Failed::Connect(error) => StoreError::Connect(error),
        Failed::Work(error) | Failed::End(error) => StoreError::DeadLetters(error),
        Failed::Task => StoreError::Task,
    })
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
