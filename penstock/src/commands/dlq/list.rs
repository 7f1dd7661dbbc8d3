//! `penstock dlq list`: what the stages gave up on, and whether it is still open.

use std::collections::HashMap;

use clap::Args;
use comfy_table::Table;
use runtime::nats::Nats;
use serde::Serialize;
use uuid::Uuid;

use super::entries::{Filter, Letter};
use crate::commands::database::{Database, Entry};
use crate::commands::error::{Answer, CommandError, Ending};
use crate::commands::site::Where;
use crate::commands::{clock, out};

/// What `penstock dlq list` is told.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    filter: Filter,
    /// Entries at most
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Listed<'a> {
    id: Uuid,
    request_id: Uuid,
    part: u32,
    received_at: String,
    stage: &'a str,
    channel: &'a str,
    source: &'a str,
    reason: &'a str,
    detail: &'a str,
    state: String,
    sequence: u64,
}

pub(crate) async fn run(args: ListArgs) -> Answer {
    let site = args.place.site()?;
    let nats = site.nats().await?;
    let (letters, more) = first(&args, &nats).await?;
    let ids: Vec<Uuid> = letters.iter().map(|letter| letter.envelope.record).collect();
    // The list is worth showing without the database: its state is one column of it.
    let entries = match Database::connect(&site).await {
        Ok(database) => Some(database.entries(&ids).await?),
        Err(error) => {
            out::note(format!("{error}: which entries are closed is not known"));
            None
        }
    };
    let listed: Vec<Listed<'_>> = letters.iter().map(|letter| listed(letter, entries.as_ref())).collect();
    if args.json {
        out::json(&listed);
    } else if listed.is_empty() {
        out::line("nothing");
    } else {
        out::line(out::rendered(&table(&listed, clock::now())));
    }
    if more {
        out::note(format!(
            "there are more than {}: raise --limit, or choose with --stage, --source, --reason",
            args.limit
        ));
    }
    Ok(Ending::Clean)
}

/// As many as may be shown, and whether there are more.
async fn first(args: &ListArgs, nats: &Nats) -> Result<(Vec<Letter>, bool), CommandError> {
    let mut pages = args.filter.pages(nats).await?;
    let mut letters = Vec::new();
    while letters.len() <= args.limit {
        let page = pages.next((args.limit - letters.len()).saturating_add(1)).await?;
        if page.is_empty() {
            return Ok((letters, false));
        }
        letters.extend(page);
    }
    letters.truncate(args.limit);
    Ok((letters, true))
}

fn listed<'a>(letter: &'a Letter, entries: Option<&HashMap<Uuid, Entry>>) -> Listed<'a> {
    let envelope = &letter.envelope;
    let state = match entries.map(|entries| entries.get(&envelope.record)) {
        None => "?".to_owned(),
        Some(None) => "not recorded yet".to_owned(),
        Some(Some(entry)) => entry.state(),
    };
    Listed {
        id: envelope.record,
        request_id: envelope.request_id,
        part: envelope.part,
        received_at: envelope.received_at.to_string(),
        stage: envelope.stage.as_str(),
        channel: envelope.channel.as_str(),
        source: envelope.source.as_str(),
        reason: &envelope.reason,
        detail: &envelope.detail,
        state,
        sequence: letter.message.sequence,
    }
}

fn table(listed: &[Listed<'_>], now: i64) -> Table {
    let mut table = out::table(&["id", "received", "stage", "source", "reason", "detail", "state"]);
    for entry in listed {
        let received = clock::parse(&entry.received_at, now).map_or_else(|_| String::new(), |at| clock::ago(at, now));
        table.add_row([
            out::cell(entry.id.to_string()),
            out::cell(received),
            out::cell(entry.stage),
            out::cell(format!("{}/{}", entry.channel, entry.source)),
            out::cell(entry.reason),
            out::cell(entry.detail),
            out::mark(&entry.state, entry.state.starts_with("closed")),
        ]);
    }
    out::keep_whole(&mut table, 0);
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::dlq::entries::tests::{envelope, stored};
    use proto::Stage;

    #[test]
    fn an_entry_shows_why_and_whether_it_is_open() {
        let letter = Letter::read(stored("dlq.x", &[envelope(Stage::Normalizer).to_pairs()])).unwrap();
        let open = HashMap::from([(Uuid::from_u128(2), Entry { closed_at: None, closed_by: None })]);
        let text = out::rendered(&table(&[listed(&letter, Some(&open))], 1_795_412_069_120));
        for piece in ["00000000-0000-0000-0000-000000000002", "1m 0s ago", "sms/support", "not_json", "open"] {
            assert!(text.contains(piece), "{piece} is not in\n{text}");
        }
        assert_eq!(listed(&letter, Some(&HashMap::new())).state, "not recorded yet");
        assert_eq!(listed(&letter, None).state, "?");
    }
}
