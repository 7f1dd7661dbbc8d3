//! The tables: brought up to date by a command, checked by every start. A persister that finds other tables than it
//! knows says so instead of starting, and names the command.

use std::collections::HashMap;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPool};
use sqlx::{ConnectOptions as _, Connection as _};

use crate::store::StoreError;

static MIGRATIONS: Migrator = sqlx::migrate!();
/// What roles may do, where there are roles. After every run: they may have been made since the last one.
const GRANTS: &str = include_str!("sql/grants.sql");

/// The oldest server whose statements we use, as `server_version_num`.
const OLDEST_SERVER: i32 = 150_000;

/// What is wrong with the database, and what mends it.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// It cannot be asked.
    #[error("could not ask PostgreSQL for its tables: is it running, and does postgres.url lead to it?")]
    Ask(#[source] sqlx::Error),
    /// The server is too old.
    #[error("PostgreSQL {found} is too old: use 15 or newer")]
    TooOld {
        /// Its version.
        found: String,
    },
    /// Texts in another encoding cannot hold what people write.
    #[error(
        "the database's encoding is {found}: make it anew with `CREATE DATABASE .. ENCODING 'UTF8' TEMPLATE template0`"
    )]
    Encoding {
        /// Its encoding.
        found: String,
    },
    /// Migrations are missing.
    #[error(
        "the tables are not up to date (migration {version} is missing): run `persister migrate` (or `penstock up`)"
    )]
    Missing {
        /// The first one that is missing.
        version: i64,
    },
    /// A migration stopped halfway.
    #[error(
        "migration {version} did not finish: look at the database, then run `persister migrate` (or `penstock up`)"
    )]
    Unfinished {
        /// Which one.
        version: i64,
    },
    /// A migration was another one when it was applied.
    #[error(
        "migration {version} was applied with other contents: this database was made by another build; restore the tables or use that build"
    )]
    Differs {
        /// Which one.
        version: i64,
    },
}

/// Applies what is missing, on a connection of its own: a migration may take longer than a statement of a batch.
/// What a newer version has applied is left alone, so that this one can be rolled back to.
pub(crate) async fn migrate(options: &PgConnectOptions) -> Result<(), StoreError> {
    let mut connection = options.connect().await.map_err(StoreError::Connect)?;
    let mut migrator = Migrator { migrations: MIGRATIONS.migrations.clone(), ..Migrator::DEFAULT };
    migrator.set_ignore_missing(true);
    let mut outcome = migrator.run(&mut connection).await;
    if outcome.is_ok() {
        outcome = sqlx::raw_sql(GRANTS).execute(&mut connection).await.map(drop).map_err(MigrateError::Execute);
    }
    // The session's end also gives the migration lock back, whatever happened.
    let closed = connection.close().await.map_err(MigrateError::Execute);
    outcome.and(closed).map_err(StoreError::Migrate)
}

/// Says whether the server and its tables are what this version works with. Newer migrations are fine: versions are
/// compatible with the next one's tables.
pub(crate) async fn check(pool: &PgPool) -> Result<(), SchemaError> {
    let (number, version, encoding, migrated): (i32, String, String, bool) = sqlx::query_as(
        "SELECT current_setting('server_version_num')::int, current_setting('server_version'),
                current_setting('server_encoding'), to_regclass('_sqlx_migrations') IS NOT NULL",
    )
    .fetch_one(pool)
    .await
    .map_err(SchemaError::Ask)?;
    if number < OLDEST_SERVER {
        return Err(SchemaError::TooOld { found: version });
    }
    if encoding != "UTF8" {
        return Err(SchemaError::Encoding { found: encoding });
    }
    let applied: Vec<(i64, Vec<u8>, bool)> = if migrated {
        sqlx::query_as("SELECT version, checksum, success FROM _sqlx_migrations")
            .fetch_all(pool)
            .await
            .map_err(SchemaError::Ask)?
    } else {
        Vec::new()
    };
    let applied: HashMap<i64, (Vec<u8>, bool)> =
        applied.into_iter().map(|(version, checksum, success)| (version, (checksum, success))).collect();
    MIGRATIONS.iter().try_for_each(|wanted| {
        let version = wanted.version;
        match applied.get(&version) {
            None => Err(SchemaError::Missing { version }),
            Some((_, false)) => Err(SchemaError::Unfinished { version }),
            Some((checksum, true)) if *checksum != *wanted.checksum => Err(SchemaError::Differs { version }),
            Some(_) => Ok(()),
        }
    })
}
