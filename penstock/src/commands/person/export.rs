//! `penstock export`: everything that is kept of somebody, as JSON, one value a line: his rows as they are, what repeats
//! them, and the requests as they came.
//!
//! What a reader would get wrong: a request that brought records of others too is not given out, only named. His own
//! record in it is a row, which is.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use persister::erasure::PersonsRow;
use proto::{BodyRef, header};
use runtime::topology::{CANONICAL, DLQ, DUPLICATES, HELD, RAW, REPLAY, UNIQUE};
use serde_json::{Value, json};

use super::Stores;
use super::files::object_name;
use super::search::{Hit, Search};
use super::whom::Person;
use crate::commands::error::{Answer, CommandError, Ending};
use crate::commands::site::Where;
use crate::commands::{clock, out, resend, stream};

/// What `penstock export` is told.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// A telephone number with its country (+49..) or an e-mail address; can be given several times for one person
    #[arg(long, value_name = "ADDRESS", required = true)]
    address: Vec<String>,
    #[command(flatten)]
    place: Where,
    /// Copy the files of his messages into this folder, as {YYYY-MM}/{blake3}
    #[arg(long, value_name = "FOLDER")]
    files: Option<PathBuf>,
}

/// Every stream that may hold something of somebody. What is in the last three is in a row as well, or will be.
const STREAMS: [&str; 7] = [RAW, HELD, REPLAY, DLQ, CANONICAL, UNIQUE, DUPLICATES];

pub(crate) async fn run(args: ExportArgs) -> Answer {
    let person = Person::of(&args.address)?;
    let stores = Stores::open(&args.place.site()?).await?;
    let rows = stores.tables.find(&person.addresses()).await?;
    for row in stores.tables.content(&rows).await? {
        print(&row);
    }
    for repeat in stores.tables.content_of_repeats(&rows).await? {
        print(&repeat);
    }
    let requests: HashSet<_> = rows.iter().map(|row| row.request_id).collect();
    let search = Search { nats: &stores.nats, sources: &stores.sources, person: &person, requests };
    let hits = search.through(&STREAMS).await?;
    for hit in &hits {
        if let Some(message) = content(&stores, hit).await? {
            print(&message);
        }
    }
    let files = match &args.files {
        Some(folder) => copy_files(&stores, &rows, folder).await?,
        None => 0,
    };
    stores.tables.close().await;
    out::note(format!(
        "{}, {}, {}",
        out::several(rows.len(), "row", "rows"),
        out::several(hits.len(), "message in the streams", "messages in the streams"),
        out::several(files, "file copied", "files copied")
    ));
    Ok(Ending::Clean)
}

fn print(value: &Value) {
    out::line(value.to_string());
}

/// A message as it lies in its stream; only its name where it brought others, too.
async fn content(stores: &Stores, hit: &Hit) -> Result<Option<Value>, CommandError> {
    let found = stream::first(&stores.nats, hit.stream, ">", hit.sequence).await?;
    let Some(message) = found.filter(|message| message.sequence == hit.sequence) else { return Ok(None) };
    let named = json!({
        "stream": hit.stream, "sequence": hit.sequence, "subject": message.subject, "request_id": hit.request,
        "stored_at": clock::text(message.stored_at),
    });
    let Value::Object(mut told) = named else { return Ok(None) };
    if !hit.whole {
        told.insert("left_out".into(), "the request brought records of others, too".into());
        return Ok(Some(Value::Object(told)));
    }
    let headers = message.headers.iter().map(|(name, values)| {
        (name.to_string(), values.iter().map(|value| Value::from(value.as_str())).collect::<Value>())
    });
    told.insert("headers".into(), Value::Object(headers.collect()));
    let reference = message.headers.get(header::BODY).and_then(|text| text.as_str().parse::<BodyRef>().ok());
    let body = match (hit.body, reference) {
        (Some(id), Some(reference)) => resend::payload(&stores.nats, id, Some(reference), &message.payload).await.ok(),
        _ => Some(message.payload),
    };
    match body.as_deref().map(|body| std::str::from_utf8(body).map_err(|_| STANDARD.encode(body))) {
        Some(Ok(text)) => told.insert("body".into(), text.into()),
        Some(Err(base64)) => told.insert("body_base64".into(), base64.into()),
        None => told.insert("left_out".into(), "its body is not in BODIES any more".into()),
    };
    Ok(Some(Value::Object(told)))
}

async fn copy_files(stores: &Stores, rows: &[PersonsRow], folder: &Path) -> Result<usize, CommandError> {
    let names = stores.tables.all_files(rows).await?;
    let Some(store) = stores.store_for(&names)? else { return Ok(0) };
    let mut copied = 0;
    for name in names.iter().filter_map(object_name) {
        let Some(bytes) = store.get(&name).await? else { continue };
        let path = folder.join(&name.month).join(name.hash.to_hex().as_str());
        write(&path, &bytes).map_err(|error| {
            CommandError::usage(format!("{} cannot be written", path.display()), "name another folder").because(error)
        })?;
        copied += 1;
    }
    Ok(copied)
}

fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, bytes)
}
