//! `penstock erase`: takes everything of somebody away, for good.
//!
//! In this order: everything is looked for, and what is on its way is waited for; the streams; the files; the rows last,
//! because they say where the rest is. So it can be interrupted anywhere and run again, and finds what is left. A row
//! leaves an ending and the mark of its key, so that neither a late retry nor a replay brings it back.
//!
//! What a reader would get wrong: a request can bring records of several people. It goes from the streams, with which it
//! cannot be replayed any more; the rows of the others stay.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::Args;
use futures::stream::{StreamExt as _, TryStreamExt as _, iter};
use persister::audit::course::Snapshot;
use persister::audit::view;
use persister::erasure::{ByItself, FileName, PersonsRow, RepeatOf};
use proto::kind::Class;
use runtime::nats::Nats;
use runtime::stream_info::broker_millis;
use runtime::topology::{BODIES, CANONICAL, DLQ, DUPLICATES, HELD, RAW, REPLAY, UNIQUE};
use uuid::Uuid;

use super::files::Files;
use super::receipt::Receipt;
use super::search::{Hit, Search};
use super::whom::Person;
use super::{Stores, wait};
use crate::commands::database::Database;
use crate::commands::error::{Answer, CommandError, Ending};
use crate::commands::site::Where;
use crate::commands::{ask, out, stream};

/// What `penstock erase` is told.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct EraseArgs {
    /// A telephone number with its country (+49..) or an e-mail address; can be given several times for one person
    #[arg(long, value_name = "ADDRESS", required = true)]
    address: Vec<String>,
    #[command(flatten)]
    place: Where,
    /// Say what there is, and erase nothing
    #[arg(long)]
    dry_run: bool,
    /// Also where many people have written to this address, as to one of your own
    #[arg(long)]
    even_if_ours: bool,
    /// How long to wait for what is on its way
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = humantime::parse_duration)]
    wait: Duration,
    /// Write the tables of every month concerned anew, however large: the persister waits meanwhile
    #[arg(long)]
    rewrite: bool,
    /// Do not ask (only a person at a terminal is asked)
    #[arg(long)]
    yes: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

const QUESTION: &str = "Erase everything of this person for good? See first what that is with --dry-run.";

/// Up to this size a month's table is written anew in passing: a few seconds.
const SMALL: u64 = 256 * 1024 * 1024;
/// An address that so many others have written to is nobody's but ours.
const OURS: usize = 10;
/// Messages deleted at the same time.
const TOGETHER: usize = 16;
/// A gateway's clock is at most half of this off the broker's, in milliseconds.
const CLOCKS: i64 = 10 * 60 * 1000;
/// Where requests lie, and what is made of them.
const REQUESTS: [&str; 3] = [RAW, HELD, REPLAY];
const RECORDS: [&str; 4] = [CANONICAL, UNIQUE, DUPLICATES, DLQ];

pub(crate) async fn run(args: EraseArgs) -> Answer {
    let person = Person::of(&args.address)?;
    let site = args.place.site()?;
    if !args.dry_run && !args.yes && ask::is_anybody_there() && !ask::agreed(QUESTION)? {
        out::line("nothing was erased");
        return Ok(Ending::Finding);
    }
    let stores = Stores::open(&site).await?;
    let database = Database::connect(&site).await?;
    let by_itself = if args.dry_run { None } else { Some(alone(&stores).await?) };
    let erasure = Erase { stores: &stores, database, person: &person, args: &args };
    let receipt = tokio::select! {
        receipt = erasure.all() => receipt?,
        _ = tokio::signal::ctrl_c() => {
            let next = "run this again: what was erased stays so, and the rest is found again";
            return Err(CommandError::finding("interrupted", next));
        }
    };
    drop(by_itself);
    stores.tables.close().await;
    receipt.tell(args.json);
    Ok(Ending::finding_if(receipt.needs_somebody()))
}

async fn alone(stores: &Stores) -> Result<ByItself, CommandError> {
    stores.tables.by_itself().await?.ok_or_else(|| {
        CommandError::finding("another erasure is running; nothing was erased", "run this again when it has ended")
    })
}

struct Erase<'a> {
    stores: &'a Stores,
    database: Database,
    person: &'a Person,
    args: &'a EraseArgs,
}

impl Erase<'_> {
    async fn all(&self) -> Result<Receipt, CommandError> {
        let nats = &self.stores.nats;
        let mut receipt = Receipt { dry_run: self.args.dry_run, ..Receipt::default() };
        // What comes in from here on is new: it may be on its way for as long as this runs.
        let begun = Begun::now(nats).await?;
        let rows = self.rows(&begun).await?;
        let repeats = self.stores.tables.repeats(&rows).await?;
        let mut requests = requests_of(&rows, &repeats);
        let search = self.search(&requests);
        let mut hits = search.through(&REQUESTS).await?;
        hits.retain(|hit| hit.stream != RAW || hit.sequence <= begun.last);
        self.settle(&search, &requests, &mut hits).await?;

        // What was on its way has become rows and repeats, whose requests may be others.
        let rows = self.rows(&begun).await?;
        let repeats = self.stores.tables.repeats(&rows).await?;
        requests.extend(requests_of(&rows, &repeats));
        let search = self.search(&requests);
        self.settle(&search, &requests, &mut hits).await?;
        let now = view::snapshot(nats).await?;
        let known: HashSet<Uuid> =
            hits.iter().filter_map(|hit| hit.request).chain(requests.iter().map(|(request, _)| *request)).collect();
        let mut records = search.through(&RECORDS).await?;
        records.retain(|hit| begun.was_there(hit, &known));
        hits.extend(records.into_iter().filter(|hit| self.args.dry_run || hit.sequence <= processed(&now, hit.stream)));

        receipt.kept_requests = self.waiting(&hits).await?;
        hits.retain(|hit| !hit.holds_requests() || !hit.request.is_some_and(|id| receipt.kept_requests.contains(&id)));
        let files = Files::of(self.stores, &rows).await?;
        note(&mut receipt, &rows, &hits, &files.own);
        let store = self.stores.store_for(&files.own)?;
        // A body stays longer than most of what refers to it, so rows say where some are.
        let told = rows.iter().map(|row| row.id).chain(repeats.iter().map(|repeat| repeat.id));
        let told = told.chain(requests.iter().map(|(request, _)| *request));
        let bodies =
            told.chain(hits.iter().filter_map(|hit| hit.body)).filter(|id| !receipt.kept_requests.contains(id));
        let bodies: BTreeSet<Uuid> = bodies.collect();
        receipt.found(BODIES, self.bodies(&bodies, Then::Stay).await?);
        if self.args.dry_run {
            return Ok(receipt);
        }
        receipt.erased(BODIES, self.bodies(&bodies, Then::Go).await?);
        self.erase_messages(&hits, &mut receipt).await?;
        if let Some(store) = store {
            files.delete(store, &mut receipt).await?;
            files.look_for_whoever_needs(self.stores, store, &rows, self.args.wait, &mut receipt).await?;
        }
        if !receipt.unsure {
            self.erase_rows(&rows, &mut receipt).await?;
        }
        Ok(receipt)
    }

    /// Adds the requests that rows tell of, and waits until every one has come to its end.
    async fn settle(
        &self,
        search: &Search<'_>,
        requests: &HashSet<(Uuid, u64)>,
        hits: &mut Vec<Hit>,
    ) -> Result<(), CommandError> {
        let known: HashSet<u64> = hits.iter().filter(|hit| hit.stream == RAW).map(|hit| hit.sequence).collect();
        for (request, sequence) in requests.iter().filter(|(_, sequence)| !known.contains(sequence)) {
            hits.extend(search.request_at(*request, *sequence).await?);
        }
        if self.args.dry_run {
            return Ok(());
        }
        wait::for_the_end(&self.stores.nats, hits, self.args.wait).await
    }

    fn search(&self, requests: &HashSet<(Uuid, u64)>) -> Search<'_> {
        Search {
            nats: &self.stores.nats,
            sources: &self.stores.sources,
            person: self.person,
            requests: requests.iter().map(|(request, _)| *request).collect(),
        }
    }

    /// The rows he is in, of requests that are not new; an error where he is one of us.
    async fn rows(&self, begun: &Begun) -> Result<Vec<PersonsRow>, CommandError> {
        let mut rows = self.stores.tables.find(&self.person.addresses()).await?;
        // `RAW` may have been made anew since, and count from 1 again.
        rows.retain(|row| row.raw_sequence <= begun.last || row.received_at < begun.surely_before);
        let others: HashSet<&str> =
            rows.iter().filter(|row| !row.wrote).filter_map(|row| row.sender.as_deref()).collect();
        if others.len() > OURS && !self.args.even_if_ours && !self.args.dry_run {
            let what = format!("{} others have written to this address: it looks like one of your own", others.len());
            let next = "look at it with --dry-run; if all of that has to go, add --even-if-ours";
            return Err(CommandError::usage(what, next));
        }
        Ok(rows)
    }

    /// Requests that somebody else's record still needs: it is an open dead letter, or in a request that is held.
    async fn waiting(&self, hits: &[Hit]) -> Result<BTreeSet<Uuid>, CommandError> {
        let shared = || hits.iter().filter(|hit| !hit.whole);
        let held = shared().filter(|hit| hit.stream == HELD).filter_map(|hit| hit.request);
        let letters: Vec<(Uuid, Uuid)> = shared().filter_map(|hit| Some((hit.letter?, hit.request?))).collect();
        let ids: Vec<Uuid> = letters.iter().map(|(letter, _)| *letter).collect();
        let entries = self.database.entries(&ids).await?;
        let is_open = |letter: &Uuid| entries.get(letter).is_none_or(|entry| entry.closed_at.is_none());
        let open = letters.iter().filter(|(letter, _)| is_open(letter)).map(|(_, request)| *request);
        Ok(open.chain(held).collect())
    }

    /// The chunks of bodies, and what becomes of them. Returns how many there were.
    async fn bodies(&self, ids: &BTreeSet<Uuid>, then: Then) -> Result<u64, CommandError> {
        let nats = &self.stores.nats;
        let counts = iter(ids.iter().map(|id| async move {
            let (filter, mut chunks, mut next) = (format!("body.{id}"), 0, 1);
            while let Some(chunk) = stream::first(nats, BODIES, &filter, next).await? {
                if matches!(then, Then::Go) {
                    stream::delete(nats, BODIES, chunk.sequence).await?;
                }
                chunks += 1;
                next = chunk.sequence + 1;
            }
            Ok::<u64, CommandError>(chunks)
        }));
        let chunks: Vec<u64> = counts.buffer_unordered(TOGETHER).try_collect().await?;
        Ok(chunks.iter().sum())
    }

    async fn erase_messages(&self, hits: &[Hit], receipt: &mut Receipt) -> Result<(), CommandError> {
        let nats = &self.stores.nats;
        let letters: Vec<Uuid> = hits.iter().filter_map(|hit| hit.letter).collect();
        self.stores.tables.close_letters(&letters).await?;
        let delete = async |hit: &Hit| stream::delete(nats, hit.stream, hit.sequence).await.map(|()| hit.stream);
        let deletions = iter(hits.iter().map(delete));
        let erased: Vec<&'static str> = deletions.buffer_unordered(TOGETHER).try_collect().await?;
        for stream in erased {
            receipt.erased(stream, 1);
        }
        Ok(())
    }

    async fn erase_rows(&self, rows: &[PersonsRow], receipt: &mut Receipt) -> Result<(), CommandError> {
        let tables = &self.stores.tables;
        let erased = tables.erase(rows).await?;
        receipt.erased(table_name(Class::Message), erased.messages);
        receipt.erased(table_name(Class::Status), erased.statuses);
        tables.blank_repeats().await?;
        let most = if self.args.rewrite { u64::MAX } else { SMALL };
        receipt.tidied(tables.tidy(most).await?);
        Ok(())
    }
}

/// What becomes of what was found.
#[derive(Clone, Copy)]
enum Then {
    Stay,
    Go,
}

/// When this began: what came in later is not looked at.
struct Begun {
    /// The newest message of `RAW`.
    last: u64,
    /// The newest of each stream of records. What is made later of a request that was there goes with it.
    records: HashMap<&'static str, u64>,
    /// What was received before this is not new, whatever its sequence is.
    surely_before: DateTime<Utc>,
}

impl Begun {
    async fn now(nats: &Nats) -> Result<Self, CommandError> {
        let mut records = HashMap::new();
        for stream in RECORDS {
            records.insert(stream, nats.stream_info(stream).await?.state.last_seq);
        }
        let info = nats.stream_info(RAW).await?;
        let now = info.ts.as_deref().and_then(broker_millis).unwrap_or(0);
        let surely_before = DateTime::from_timestamp_millis(now.saturating_sub(CLOCKS)).unwrap_or_default();
        // `RAW` last: else a record of a request that came in between would pass for one that was there.
        Ok(Self { last: info.state.last_seq, records, surely_before })
    }

    /// Whether a record was there, or is of a request that was.
    fn was_there(&self, hit: &Hit, requests: &HashSet<Uuid>) -> bool {
        self.records.get(hit.stream).is_some_and(|last| hit.sequence <= *last)
            || hit.request.is_some_and(|id| requests.contains(&id))
    }
}

/// The requests of rows and of their repeats, with their places in `RAW`.
fn requests_of(rows: &[PersonsRow], repeats: &[RepeatOf]) -> HashSet<(Uuid, u64)> {
    let of_repeats = repeats.iter().map(|repeat| (repeat.request_id, repeat.raw_sequence));
    rows.iter().map(|row| (row.request_id, row.raw_sequence)).chain(of_repeats).collect()
}

/// Up to where a stream of records is surely processed.
fn processed(now: &Snapshot, stream: &str) -> u64 {
    match stream {
        CANONICAL => now.deduplicated,
        UNIQUE => now.persisted,
        DUPLICATES => now.judged,
        DLQ => now.recorded,
        _ => 0,
    }
}

fn note(receipt: &mut Receipt, rows: &[PersonsRow], hits: &[Hit], files: &[FileName]) {
    for row in rows {
        receipt.found(table_name(row.table), 1);
    }
    for hit in hits {
        receipt.found(hit.stream, 1);
    }
    receipt.found("files", files.len() as u64);
}

fn table_name(class: Class) -> &'static str {
    match class {
        Class::Message => "messages",
        Class::Status => "message_statuses",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_was_made_since_goes_only_with_a_request_that_was_there() {
        let begun =
            Begun { last: 9, records: HashMap::from([(DLQ, 5), (UNIQUE, 7)]), surely_before: DateTime::default() };
        let (there, new) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let record = |stream, sequence, request| Hit {
            stream,
            sequence,
            channel: None,
            request,
            body: None,
            letter: None,
            whole: true,
        };
        let requests = HashSet::from([there]);
        let goes = |stream, sequence, request| begun.was_there(&record(stream, sequence, request), &requests);
        assert!(goes(DLQ, 5, Some(new)), "its request may have left RAW");
        assert!(goes(DLQ, 6, Some(there)));
        assert!(!goes(DLQ, 6, Some(new)));
        assert!(!goes(DLQ, 6, None));
        assert!(goes(UNIQUE, 7, None));
    }
}
