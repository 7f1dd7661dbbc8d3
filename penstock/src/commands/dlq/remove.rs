//! `penstock dlq drop`: gives up on entries for good.
//!
//! First the table says `dropped`, then the message goes: interrupted in between, the entry is listed as closed and
//! dropping it again takes it away. An entry without a row is never dropped: its record would end nowhere, and every
//! accepted record has an ending that can be told.

use clap::Args;
use persister::Store;
use runtime::nats::Nats;
use runtime::topology::DLQ;
use uuid::Uuid;

use super::entries::{Letter, of_id};
use crate::commands::database::Database;
use crate::commands::error::{Answer, CommandError, Ending};
use crate::commands::site::Where;
use crate::commands::{ask, out, stream};

/// What `penstock dlq drop` is told.
#[derive(Debug, Args)]
pub(crate) struct DropArgs {
    /// The ids of records, or Penstock-Ids
    #[arg(required = true)]
    ids: Vec<Uuid>,
    #[command(flatten)]
    place: Where,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// Who writes the rows of `dead_letters`.
const RECORDER: &str = "persister-dead-letters";

pub(crate) async fn run(args: DropArgs) -> Answer {
    let site = args.place.site()?;
    let nats = site.nats().await?;
    let (database, store) = (Database::connect(&site).await?, site.store().await?);
    let mut letters = Vec::new();
    for id in &args.ids {
        letters.extend(of_id(&nats, *id).await?);
    }
    for letter in &letters {
        let envelope = &letter.envelope;
        let source = format!("{}/{}", envelope.channel, envelope.source);
        out::line(format!("{}  {source}  {}: {}", envelope.record, envelope.reason, out::shown(&envelope.detail)));
    }
    if !args.yes && !agreed(letters.len())? {
        out::line("nothing was dropped");
        return Ok(Ending::Finding);
    }
    for letter in &letters {
        drop_one(&nats, &database, &store, letter).await?;
    }
    out::line(format!("dropped {}", out::several(letters.len(), "entry", "entries")));
    Ok(Ending::Clean)
}

async fn drop_one(nats: &Nats, database: &Database, store: &Store, letter: &Letter) -> Result<(), CommandError> {
    let recorded = nats.consumer_info(DLQ, RECORDER).await?.ack_floor.stream_seq;
    // A delivery still in the persister's hands would open the entry again.
    if recorded < letter.message.sequence {
        let what = format!("the persister has not recorded {} yet", letter.envelope.record);
        return Err(CommandError::finding(what, "look with `penstock status` whether it runs, then try again"));
    }
    if !database.drop_entry(letter.envelope.record).await? {
        // It had a row, and the tables were emptied since.
        store.record_dead_letters(std::slice::from_ref(&letter.envelope)).await?;
        database.drop_entry(letter.envelope.record).await?;
    }
    stream::delete(nats, DLQ, letter.message.sequence).await
}

fn agreed(number: usize) -> Result<bool, CommandError> {
    if !ask::is_anybody_there() {
        return Err(CommandError::usage("there is nobody to ask", "say --yes to drop without being asked"));
    }
    let entries = out::several(number, "entry", "entries");
    ask::agreed(&format!("Drop {entries} for good? What was sent cannot be brought back."))
}
