//! One transaction on one connection, in a task of its own that nobody cancels: dropping the caller's future never
//! leaves a connection in the middle of a transaction, and what was sent is committed or rolled back as a whole.
//!
//! No connection goes back to the pool unless it can begin again. BEGIN is sent alone, so that whatever fails after it
//! is inside a transaction that is known here and rolled back (a second statement beside it could fail and leave the
//! server in a transaction that nobody here knows of). A connection that cannot begin is closed. One whose ROLLBACK
//! fails is closed by the pool, which sends what is outstanding before it takes a connection back.

use std::convert::Infallible;
use std::time::Duration;

use futures::future::BoxFuture;
use runtime::kill_point;
use sqlx::postgres::PgPool;
use sqlx::{Connection as _, PgConnection};
use tracing::debug;

/// The level is named because a server may have another as its default, under which a later statement would not see
/// what was committed since the first.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

/// How long a connection may take to begin: nothing of the server's own time limits holds where it cannot be reached.
const PATIENCE: Duration = Duration::from_secs(5);

/// What excludes every batch of records, to the end of the transaction. `keys.sql` takes the other half of this lock.
pub(crate) const ALONE: &str = "SELECT pg_advisory_xact_lock(7236834, 1)";

/// How a transaction is to end if its work succeeds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    Commit,
    Rollback,
}

/// Why a transaction did not take place.
#[derive(Debug)]
pub(crate) enum Failed<E> {
    /// No connection, or none that can begin. Nothing was sent.
    Connect(sqlx::Error),
    /// The work failed and was rolled back.
    Work(E),
    /// It could not be ended as it was to be, or that is not known.
    End(sqlx::Error),
    /// The task ended early.
    Task,
}

/// Runs `work` in a transaction.
pub(crate) async fn transact<T, E, W>(pool: PgPool, end: End, work: W) -> Result<T, Failed<E>>
where
    T: Send + 'static,
    E: Send + 'static,
    W: for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, Result<T, E>> + Send + 'static,
{
    #[expect(clippy::disallowed_methods, reason = "awaited here; apart from it only so that it outlives the caller")]
    let task = tokio::spawn(on_a_connection(pool, end, work));
    task.await.map_err(|_| Failed::Task)?
}

/// Whether a transaction can begin and end now.
pub(crate) async fn ping(pool: PgPool) -> Result<(), sqlx::Error> {
    match transact(pool, End::Rollback, |_| Box::pin(async { Ok::<(), Infallible>(()) })).await {
        Ok(()) => Ok(()),
        Err(Failed::Connect(error) | Failed::End(error)) => Err(error),
        Err(Failed::Work(never)) => match never {},
        Err(Failed::Task) => Err(sqlx::Error::WorkerCrashed),
    }
}

/// The pool does not try connections out, which would be a round trip more for each transaction: BEGIN does. Those
/// that a restarted server left behind are closed here, one after the other, and cost nobody anything.
async fn on_a_connection<T, E, W>(pool: PgPool, end: End, work: W) -> Result<T, Failed<E>>
where
    W: for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, Result<T, E>>,
{
    let mut left_behind = pool.options().get_max_connections();
    loop {
        let mut connection = pool.acquire().await.map_err(Failed::Connect)?;
        let error = match tokio::time::timeout(PATIENCE, connection.begin_with(BEGIN)).await {
            Ok(Ok(mut transaction)) => {
                let done = work(&mut transaction).await.map_err(Failed::Work)?;
                kill_point::reached("persister.written");
                match end {
                    End::Commit => transaction.commit().await,
                    End::Rollback => transaction.rollback().await,
                }
                .map_err(Failed::End)?;
                kill_point::reached("persister.committed");
                return Ok(done);
            }
            Ok(Err(error)) => error,
            Err(_) => sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()),
        };
        connection.close_on_drop();
        if left_behind == 0 {
            return Err(Failed::Connect(error));
        }
        debug!(%error, "a connection cannot begin a transaction; trying another");
        left_behind -= 1;
    }
}
