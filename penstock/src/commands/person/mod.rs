//! `penstock export` and `penstock erase`: everything of somebody given out, and taken away.
//!
//! [`whom`] says who is meant and what is about him, pure; [`search`] looks through the streams, `persister::erasure`
//! through the tables; [`wait`] lets what is on its way come to its end; [`mod@export`] and [`mod@erase`] do the rest.

mod erase;
mod export;
mod files;
mod receipt;
mod search;
mod wait;
mod whom;

pub(crate) use erase::{EraseArgs, run as erase};
pub(crate) use export::{ExportArgs, run as export};

use normalizer::sources::Sources;
use persister::erasure::{Erasure, FileName};
use runtime::config::Config;
use runtime::nats::Nats;
use runtime::objects::Objects;

use super::error::CommandError;
use super::site::Site;

/// Everything that may hold something of somebody.
struct Stores {
    nats: Nats,
    tables: Erasure,
    /// Where a store is configured.
    files: Option<Objects>,
    sources: Sources,
}

impl Stores {
    async fn open(site: &Site) -> Result<Self, CommandError> {
        let config: Config = site.config()?;
        let sources = Sources::read(&config).map_err(|problems| CommandError::config(&problems))?;
        let files = Objects::open(&config.attachments)?;
        let tables = Erasure::connect(site.postgres_url()?).await?;
        Ok(Self { nats: site.nats().await?, tables, files, sources })
    }

    /// The attachment store; an error where it is needed and not configured.
    fn store_for(&self, files: &[FileName]) -> Result<Option<&Objects>, CommandError> {
        if self.files.is_none() && !files.is_empty() {
            let what = "rows of his refer to files, and the configuration does not say where files are";
            let next = "name the one with [attachments] that the normalizer runs with: --config FILE";
            return Err(CommandError::usage(what, next));
        }
        Ok(self.files.as_ref())
    }
}
