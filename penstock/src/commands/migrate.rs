//! `penstock migrate`, also `penstock persister migrate`: brings the tables up to date. Doing it again, or from two
//! places at once, changes nothing more.

use clap::Args;

use super::error::{Answer, Ending};
use super::out;
use super::site::Where;

/// What `penstock migrate` is told.
#[derive(Debug, Args)]
pub(crate) struct MigrateArgs {
    #[command(flatten)]
    pub(crate) place: Where,
}

pub(crate) async fn run(args: MigrateArgs) -> Answer {
    let site = args.place.site()?;
    let store = site.store().await?;
    store.migrate().await?;
    store.close().await;
    out::line("the tables are up to date");
    Ok(Ending::Clean)
}
