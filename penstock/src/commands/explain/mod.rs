//! `penstock explain`: what became of a message, by a Penstock-Id, a record's id or a provider's id.
//!
//! The database is asked first; what has no ending there is looked for in the streams: the whole, or those records of a
//! request that have none yet. Where one of the two does not answer, the other's half of the story is told all the same.

mod missing;
mod story;
mod trace;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use clap::Args;
use persister::{Ending as Ended, Found, Query, Store};
use runtime::config::{Config, DedupPolicy};
use runtime::nats::Nats;
use uuid::Uuid;

use self::story::{Evidence, Missing, Story};
use super::database::Database;
use super::error::{Answer, CommandError, Ending};
use super::out;
use super::site::{Site, Where};

/// What `penstock explain` is told.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// A Penstock-Id (every answer of the gateway carries one), a record's id, or the provider's id of a message
    id: String,
    #[command(flatten)]
    place: Where,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Requests told of at most, where a provider's id is in many.
const REQUESTS: usize = 20;
/// Records without an ending that are looked for at most: each costs a look through every stream.
const TRACED: usize = 10;

pub(crate) async fn run(args: ExplainArgs) -> Answer {
    let site = args.place.site()?;
    let (database, nats) = futures::join!(site.store(), site.nats());
    let (database, nats) = (told(database)?, told(nats)?);
    if database.is_none() && nats.is_none() {
        let next = format!("look whether they run, and whether their addresses in {} are right", site.named_by);
        return Err(CommandError::unreachable("neither PostgreSQL nor NATS answers", next));
    }
    let evidence = gather(&site, database.as_ref(), nats.as_ref(), args.id.trim()).await?;
    let story = story::tell(&evidence);
    if story.outcome == "unknown" {
        return Err(unknown(&args.id, database.is_some(), nats.is_some()));
    }
    show(&story, args.json);
    Ok(Ending::finding_if(story.outcome == "dead_letter"))
}

/// One that does not answer is a note; a configuration that is wrong is an error.
fn told<T>(connection: Result<T, CommandError>) -> Result<Option<T>, CommandError> {
    match connection {
        Ok(connection) => Ok(Some(connection)),
        Err(error) if error.exit_code() == runtime::process::EXIT_UNAVAILABLE => {
            out::note(format!("{}: only a half of the story can be told", runtime::error_chain::Chain(&error)));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn show(story: &Story, json: bool) {
    if json {
        out::json(story);
    } else {
        out::line(story.rendered());
    }
}

fn unknown(id: &str, asked_database: bool, asked_streams: bool) -> CommandError {
    let asked = match (asked_database, asked_streams) {
        (true, true) => "neither the tables nor the streams know",
        (true, false) => "the tables do not know (the streams could not be asked)",
        _ => "the streams do not know (the tables could not be asked)",
    };
    let next = if id.parse::<Uuid>().is_ok() {
        "what was answered with 2xx is in RAW for as long as `retention.raw` says, and its row longer: was the answer a \
         2xx, and is this the right installation (--config, --data-dir)?"
    } else {
        "a message can be found by its provider's id once it is a row; until then by the Penstock-Id of the gateway's \
         answer"
    };
    CommandError::finding(format!("{asked} {id}"), next)
}

async fn gather(site: &Site, store: Option<&Store>, nats: Option<&Nats>, id: &str) -> Result<Evidence, CommandError> {
    let uuid = id.parse::<Uuid>().ok();
    let mut evidence = Evidence::default();
    if let Some(store) = store {
        evidence.found = look_up(store, id, uuid).await?;
        evidence.originals = originals(store, &evidence.found).await?;
    }
    if let Ok(config) = site.config() {
        evidence.windows = windows(&config);
    }
    let Some(nats) = nats else { return Ok(evidence) };
    let requests: BTreeSet<Uuid> = evidence.found.iter().map(|found| found.request_id).collect();
    for request in requests.into_iter().take(REQUESTS) {
        evidence.requests.extend(trace::request(nats, request).await?);
    }
    match uuid {
        Some(uuid) if evidence.found.is_empty() => evidence.trace = trace::trace(nats, uuid).await?,
        Some(uuid) if evidence.found.iter().all(|found| found.request_id == uuid) => {
            let parts = Database::connect(site).await?.parts(uuid).await?;
            let missing = missing::records(&evidence.found, parts);
            evidence.left_out = missing.len().saturating_sub(TRACED);
            for (part, id) in missing.into_iter().take(TRACED) {
                evidence.missing.push(Missing { part, id, trace: trace::trace(nats, id).await? });
            }
        }
        _ => {}
    }
    Ok(evidence)
}

/// By every meaning that the text can have; a provider's id may look like one of ours.
async fn look_up(store: &Store, id: &str, uuid: Option<Uuid>) -> Result<Vec<Found>, CommandError> {
    let ours = uuid.into_iter().flat_map(|uuid| [Query::Request(uuid), Query::Id(uuid)]);
    for query in ours.chain([Query::ProviderMessage(id)]) {
        let found = store.lookup(query).await?;
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Ok(Vec::new())
}

async fn originals(store: &Store, found: &[Found]) -> Result<BTreeMap<Uuid, Found>, CommandError> {
    let ids: BTreeSet<Uuid> = found
        .iter()
        .filter_map(|found| match found.ending {
            Ended::Duplicate { original_id, .. } => Some(original_id),
            _ => None,
        })
        .collect();
    let mut originals = BTreeMap::new();
    for id in ids.into_iter().take(REQUESTS) {
        let rows = store.lookup(Query::Id(id)).await?;
        let row = rows.into_iter().find(|found| matches!(found.ending, Ended::Row { .. }));
        originals.extend(row.map(|row| (id, row)));
    }
    Ok(originals)
}

/// How long keys hold, in words, by source and policy, as the normalizer has it.
fn windows(config: &Config) -> BTreeMap<(String, String), String> {
    let words = |window: Duration| out::set_time(window);
    let mut windows = BTreeMap::new();
    for source in &config.sources {
        let own = source.dedup.window;
        let content = own.filter(|_| source.dedup.policy == DedupPolicy::Content);
        let by_policy = [
            ("auto", own.unwrap_or(config.dedup.window)),
            ("off", own.unwrap_or(config.dedup.window)),
            ("content", content.unwrap_or(config.dedup.content_window)),
        ];
        windows.extend(by_policy.map(|(policy, window)| ((source.name.clone(), policy.to_owned()), words(window))));
    }
    windows
}
