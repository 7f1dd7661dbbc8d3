//! The tables, as an application reads them.

use std::time::Duration;

use serde_json::Value;
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Row as _};
use uuid::Uuid;

use crate::ledger::Endings;

/// A pool of a test's own: one of another test's runtime would die with it.
#[derive(Clone, Debug)]
pub struct Database {
    pool: PgPool,
}

impl Database {
    /// Connects when it is first used.
    pub fn new(url: &str) -> Self {
        let options = PgPoolOptions::new().max_connections(2).acquire_timeout(Duration::from_secs(20));
        Self { pool: options.connect_lazy(url).expect("a URL of a database") }
    }

    /// Whole rows of a table as JSON, by source, in the order of arrival.
    pub async fn rows(&self, table: &str, source: &str) -> Vec<Value> {
        self.select(table, "source = $1 ORDER BY received_at, request_id, part", source).await
    }

    /// Whole rows of a table as JSON, by request.
    pub async fn of_request(&self, table: &str, request: Uuid) -> Vec<Value> {
        self.select(table, "request_id = $1::uuid ORDER BY part", &request.to_string()).await
    }

    async fn select(&self, table: &str, clause: &str, argument: &str) -> Vec<Value> {
        let sql = format!("SELECT to_jsonb(t)::text FROM {table} t WHERE {clause}");
        let rows = sqlx::query(AssertSqlSafe(sql)).bind(argument.to_owned()).fetch_all(&self.pool).await.unwrap();
        rows.iter().map(|row| serde_json::from_str(row.get(0)).unwrap()).collect()
    }

    /// A table without what may differ from one filling to the next, ordered, as one text for each row.
    pub async fn content(&self, table: &str) -> Vec<String> {
        // A row that was made anew by a replay says so, and when; which table it is in and all else must be equal.
        let sql = format!(
            "SELECT (to_jsonb(t) - 'stored_at' - 'updated_at' - 'replay_sequence')::text FROM {table} t ORDER BY 1"
        );
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&self.pool).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// The number that a query gives.
    pub async fn number(&self, sql: &str) -> i64 {
        sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_one(&self.pool).await.unwrap().get(0)
    }

    /// Runs a statement.
    pub async fn execute(&self, sql: &str) {
        sqlx::query(AssertSqlSafe(sql.to_owned())).execute(&self.pool).await.unwrap();
    }

    /// Where everything of a source has ended, by the provider's id and the request.
    pub async fn endings(&self, source: &str) -> Endings {
        let mut endings = Endings::default();
        for table in ["messages", "message_statuses"] {
            endings.rows.extend(self.ids(table, source).await);
        }
        endings.duplicates = self.ids("duplicates", source).await;
        let dead = self.select("dead_letters", "source = $1", source).await;
        endings.dead = dead.iter().map(|row| row["request_id"].as_str().unwrap().parse().unwrap()).collect();
        endings
    }

    /// Where everything of these sources has ended.
    pub async fn endings_of(&self, sources: &[&str]) -> Endings {
        let mut all = Endings::default();
        for source in sources {
            let Endings { rows, duplicates, dead } = self.endings(source).await;
            all.rows.extend(rows);
            all.duplicates.extend(duplicates);
            all.dead.extend(dead);
        }
        all
    }

    async fn ids(&self, table: &str, source: &str) -> Vec<(String, Uuid)> {
        // A mail has no id that a provider gave it: the subject names it, and a repeat is what its original is.
        let (name, of) = match table {
            "messages" => ("coalesce(t.provider_message_id, t.subject)", ""),
            "duplicates" => (
                "coalesce(t.provider_message_id, o.provider_message_id, o.subject)",
                "LEFT JOIN messages o ON o.id = t.original_id",
            ),
            _ => ("t.provider_message_id", ""),
        };
        let sql = format!("SELECT {name}, t.request_id::text FROM {table} t {of} WHERE t.source = $1");
        let rows = sqlx::query(AssertSqlSafe(sql)).bind(source.to_owned()).fetch_all(&self.pool).await.unwrap();
        let id = |row: &sqlx::postgres::PgRow| row.get::<Option<String>, _>(0).unwrap_or_default();
        rows.iter().map(|row| (id(row), row.get::<&str, _>(1).parse().unwrap())).collect()
    }
}
