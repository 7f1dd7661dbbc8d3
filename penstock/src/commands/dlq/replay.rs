//! `penstock dlq replay`: has entries tried again, and takes those out of `DLQ` that have found their ending.
//!
//! An entry stays until the persister has closed it: so nothing is lost where this is interrupted, or where the second
//! try fails like the first. Running it again is harmless, because a record has the same id each time.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::Args;
use persister::Store;
use proto::Stage;
use runtime::nats::Nats;
use runtime::topology::{DLQ, RAW};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::entries::{Filter, Letter, PAGE, Pages, of_id};
use super::record::record_missing_of;
use super::resend::{again, payload_of, told_sequence};
use crate::commands::database::Database;
use crate::commands::error::{Answer, CommandError, Ending};
use crate::commands::locate::Reach;
use crate::commands::site::Where;
use crate::commands::{locate, out, resend, stream};

/// What `penstock dlq replay` is told.
#[derive(Debug, Args)]
#[command(override_usage = "penstock dlq replay [OPTIONS] <ID>\n       penstock dlq replay [OPTIONS] --all\n       \
    penstock dlq replay [OPTIONS] [--stage <STAGE>] [--source <NAME>] [--reason <WORD>]")]
pub(crate) struct ReplayArgs {
    /// The id of a record, or a Penstock-Id
    #[arg(required_unless_present_any = ["all", "stage", "source", "reason"], conflicts_with = "all")]
    id: Option<Uuid>,
    #[command(flatten)]
    place: Where,
    /// All entries
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    filter: Filter,
    /// Say what would be sent, and send nothing
    #[arg(long)]
    dry_run: bool,
    /// The name of the run [default: a new one]
    #[arg(long, value_name = "NAME", value_parser = resend::parse_run)]
    run: Option<String>,
    /// How long to wait for the entries to be closed
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    wait: Duration,
}

/// Entries read, sent and waited for together.
const BATCH: usize = 100;
/// How often to ask whether entries are closed.
const ASK: Duration = Duration::from_millis(250);

pub(crate) async fn run(args: ReplayArgs) -> Answer {
    let site = args.place.site()?;
    let nats = site.nats().await?;
    let mut pages = match args.id {
        Some(id) => Chosen::One(of_id(&nats, id).await?),
        None => Chosen::Any(Box::new(args.filter.pages(&nats).await?)),
    };
    let servers = if args.dry_run { None } else { Some((Database::connect(&site).await?, site.store().await?)) };
    let run = args.run.clone().unwrap_or_else(resend::run_name);
    let (mut seen, mut open) = (0, 0);
    loop {
        let letters = pages.next().await?;
        if letters.is_empty() {
            break;
        }
        seen += letters.len();
        match &servers {
            None => letters.iter().for_each(|letter| out::line(would(letter))),
            Some((database, store)) => open += replay(&nats, database, store, &letters, &run, args.wait).await?,
        }
    }
    tell(seen, open, servers.is_some().then_some(run.as_str()));
    Ok(Ending::finding_if(open > 0))
}

/// The entries that are meant.
enum Chosen {
    /// Of one id; taken out when they were given.
    One(Vec<Letter>),
    Any(Box<Pages>),
}

impl Chosen {
    async fn next(&mut self) -> Result<Vec<Letter>, CommandError> {
        match self {
            Self::One(letters) => Ok(std::mem::take(letters)),
            Self::Any(pages) => pages.next(PAGE).await,
        }
    }
}

/// Of how many entries what became; `run` where they were sent.
fn tell(seen: usize, open: usize, run: Option<&str>) {
    match run {
        _ if seen == 0 => out::line("nothing"),
        None => out::line(format!("{} would be sent; nothing was", out::several(seen, "entry", "entries"))),
        Some(run) => out::line(format!("run {run}: {} closed, {open} open", seen - open)),
    }
    if open > 0 {
        out::note(
            "  next: `penstock dlq list` shows the reasons, `penstock status` whether the stages are still at work",
        );
    }
}

/// Has these entries tried again, in batches; how many are still open.
async fn replay(
    nats: &Nats,
    database: &Database,
    store: &Store,
    letters: &[Letter],
    run: &str,
    wait: Duration,
) -> Result<usize, CommandError> {
    let mut open = 0;
    for batch in letters.chunks(BATCH) {
        // The row is what an ending closes: an entry without one would never be seen to have its ending.
        record_missing_of(batch, database, store).await?;
        open += replay_batch(nats, database, batch, run, wait).await?;
    }
    Ok(open)
}

/// Sends those that are open, waits, and takes out those that are closed; how many are still open.
async fn replay_batch(
    nats: &Nats,
    database: &Database,
    batch: &[Letter],
    run: &str,
    wait: Duration,
) -> Result<usize, CommandError> {
    let ids: BTreeSet<Uuid> = batch.iter().map(|letter| letter.envelope.record).collect();
    let mut closed = closed(database, &ids).await?;
    let is_open = |letter: &&Letter| !closed.contains(&letter.envelope.record);
    let left: Vec<&Letter> = batch.iter().filter(is_open).collect();
    let sent = send(nats, &left, run).await?;
    closed.extend(wait_closed(database, &sent, wait).await?);
    for letter in batch {
        let id = letter.envelope.record;
        if closed.contains(&id) {
            stream::delete(nats, DLQ, letter.message.sequence).await?;
            out::line(format!("{id}  {}", out::good("has its ending; taken out of DLQ")));
        } else if sent.contains(&id) {
            out::line(format!("{id}  {}", out::bad("is still open; it stays in DLQ")));
        }
    }
    Ok(batch.len() - closed.len())
}

fn would(letter: &Letter) -> String {
    let envelope = &letter.envelope;
    match again(letter, "r", None) {
        Ok(message) => format!("{}  {} ({}) → {}", envelope.record, envelope.stage, envelope.reason, message.subject),
        Err(error) => format!("{}  {} ({}): {error}", envelope.record, envelope.stage, envelope.reason),
    }
}

/// Sends what can be sent; the records that were.
async fn send(nats: &Nats, letters: &[&Letter], run: &str) -> Result<BTreeSet<Uuid>, CommandError> {
    let mut sent = BTreeSet::new();
    let mut messages = Vec::new();
    for letter in letters {
        let Some(letter) = whole(nats, letter).await? else {
            out::note(format!("{}  is not in DLQ any more", letter.envelope.record));
            continue;
        };
        match prepare(nats, &letter, run).await {
            Ok(message) => {
                sent.insert(letter.envelope.record);
                messages.push(message);
            }
            Err(error) => out::note(format!("{}  {}", letter.envelope.record, runtime::error_chain::Chain(&error))),
        }
    }
    resend::publish(nats, messages).await?;
    Ok(sent)
}

/// The entry with its payload, as it is now.
async fn whole(nats: &Nats, letter: &Letter) -> Result<Option<Letter>, CommandError> {
    let message = stream::first(nats, DLQ, &letter.message.subject, letter.message.sequence).await?;
    Ok(message.and_then(|message| Letter::read(message).ok()))
}

async fn prepare(
    nats: &Nats,
    letter: &Letter,
    run: &str,
) -> Result<runtime::publish::Outgoing, super::resend::NotAgain> {
    let (owner, body) = payload_of(letter);
    resend::renew(nats, owner, body).await?;
    let mut sequence = told_sequence(letter);
    if sequence.is_none() && letter.envelope.stage == Stage::Normalizer {
        // Only for the row's raw_sequence: where it is not found, or not to be had now, the replay goes without.
        sequence = locate::by_id(nats, RAW, letter.envelope.request_id, Reach::Near)
            .await
            .ok()
            .flatten()
            .map(|raw| raw.sequence);
    }
    again(letter, run, sequence)
}

/// Those of the records that are closed by the time the wait is over.
async fn wait_closed(
    database: &Database,
    sent: &BTreeSet<Uuid>,
    wait: Duration,
) -> Result<BTreeSet<Uuid>, CommandError> {
    let deadline = Instant::now() + wait;
    loop {
        let closed = closed(database, sent).await?;
        if closed.len() == sent.len() || Instant::now() >= deadline {
            return Ok(closed);
        }
        sleep(ASK).await;
    }
}

/// Those of the records that are closed.
async fn closed(database: &Database, records: &BTreeSet<Uuid>) -> Result<BTreeSet<Uuid>, CommandError> {
    let ids: Vec<Uuid> = records.iter().copied().collect();
    let entries = database.entries(&ids).await?;
    Ok(entries.into_iter().filter(|(_, entry)| entry.closed_at.is_some()).map(|(id, _)| id).collect())
}
