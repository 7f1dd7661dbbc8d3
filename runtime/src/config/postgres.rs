//! `[postgres]`: the database.

use super::format::whole;
use super::reader::Reader;
use super::requirements::Need;
use super::secret::Secret;

/// Where the database is and how many connections one process opens to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Postgres {
    /// Required, unless the process can do without.
    pub url: Option<Secret>,
    /// Per process. 1 to 100, default 4.
    pub max_connections: u32,
}

impl Postgres {
    pub(super) fn read(reader: &mut Reader<'_, '_>, need: Need) -> Self {
        Self {
            url: reader.secret_url("url", need, &["postgres://", "postgresql://"]),
            max_connections: reader.or("max_connections", "4", &whole(1..=100)),
        }
    }
}
