//! `--demo`: posts one real payload for each channel, each twice as a provider's retry would, and shows what became of
//! them: of each message one row, and every further copy a repeat of it.

use std::collections::HashSet;
use std::time::Duration;

use runtime::config::{Config, DedupPolicy, OnDuplicate, Source};
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Row as _};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::run_file::RunFile;
use super::site::{Site, StepError};
use crate::commands::out;
use crate::commands::send::{Posted, post_sample};
use crate::servers::console::Console;

/// A provider that heard nothing tries again.
const COPIES: usize = 2;
/// How a gateway answers to a byte-identical copy, where its source asks for that.
const CONFLICT: u16 = 409;
/// Longest wait for the rows.
const LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);

/// What became of the requests: every row and every repeat, in the order they came in.
const ENDINGS: &str = "
    SELECT request_id, id AS row_id, channel, source, 'row' AS ending, kind, sender_address AS sender, text, received_at
        FROM messages WHERE request_id = ANY($1)
    UNION ALL SELECT request_id, id, channel, source, 'row', kind, sender_address, status, received_at
        FROM message_statuses WHERE request_id = ANY($1)
    UNION ALL SELECT request_id, original_id, channel, source, 'repeat', verdict, NULL, 'of ' || original_id, received_at
        FROM duplicates WHERE request_id = ANY($1)
    UNION ALL SELECT request_id, NULL, channel, source, 'dead', reason, NULL, detail, received_at
        FROM dead_letters WHERE request_id = ANY($1)
    ORDER BY received_at";

/// Posts to `run.gateway_url` and waits for the rows in `site.postgres_url`. `Ok(false)` where they are not those that
/// must be there, which has been said.
pub(crate) async fn demo(site: &Site, run: &RunFile, console: &Console) -> Result<bool, StepError> {
    let config = site.configuration()?;
    let gateway = run.gateway_url.as_deref().unwrap_or_default();
    let mut shows = Vec::new();
    for source in one_source_a_channel(&config) {
        let posted = post_sample(&config, gateway, &source.name, None, COPIES).await.map_err(StepError::failed)?;
        for answer in &posted {
            let path = format!("POST /v1/{}/{}", source.channel, source.name);
            console.line(&format!(
                "  {path:<28} {} in {} ms  {}",
                answer.status,
                answer.milliseconds,
                answer.body.trim()
            ));
        }
        shows.push(Show::of(source, &posted));
    }
    let ids: Vec<Uuid> = shows.iter().flat_map(|show| show.accepted.iter().copied()).collect();
    let endings = wait(&site.postgres_url, &ids).await.map_err(StepError::failed)?;
    console.line(&table(&endings));
    let faults: Vec<String> = shows.iter().filter_map(|show| show.fault(&endings)).collect();
    for fault in &faults {
        console.line(&format!("  {fault}"));
    }
    Ok(faults.is_empty() && !shows.is_empty())
}

/// What was posted to a source, and what has to become of it.
#[derive(Debug)]
struct Show {
    source: String,
    /// The requests that were answered with 2xx.
    accepted: Vec<Uuid>,
    /// Answers that must not be.
    refused: usize,
    /// Whether a copy is a repeat, and not a message of its own.
    repeats: bool,
}

impl Show {
    fn of(source: &Source, posted: &[Posted]) -> Self {
        let told_apart = |answer: &&Posted| source.on_duplicate == OnDuplicate::Conflict && answer.status == CONFLICT;
        let accepted: Vec<Uuid> =
            posted.iter().filter(|answer| answer.is_success()).filter_map(|answer| answer.id).collect();
        let right = accepted.len() + posted.iter().filter(told_apart).count();
        Self {
            source: source.name.clone(),
            refused: posted.len().saturating_sub(right),
            accepted,
            repeats: source.dedup.policy != DedupPolicy::Off,
        }
    }

    /// What is wrong with the endings of its requests, in words.
    fn fault(&self, endings: &[Ending]) -> Option<String> {
        let own: Vec<&Ending> = endings.iter().filter(|ending| self.accepted.contains(&ending.request)).collect();
        let rows: Vec<Option<Uuid>> =
            own.iter().filter(|ending| ending.ended_as == "row").map(|ending| ending.row).collect();
        let repeats = own.iter().filter(|ending| ending.ended_as == "repeat" && rows.contains(&ending.row)).count();
        let (found, copies) = ((rows.len(), repeats), self.accepted.len());
        let due = if self.repeats { (1, copies.saturating_sub(1)) } else { (copies, 0) };
        let others = own.len().saturating_sub(found.0 + found.1);
        let right = self.refused == 0 && copies > 0 && found == due && others == 0;
        (!right).then(|| {
            let said = |(rows, repeats)| {
                format!(
                    "{} and {}",
                    out::several(rows, "row", "rows"),
                    out::several(repeats, "repeat of it", "repeats of it")
                )
            };
            format!(
                "{}: {} must be there; found {}, and {others} that ended otherwise; {} refused",
                self.source,
                said(due),
                said(found),
                out::several(self.refused, "request was", "requests were"),
            )
        })
    }
}

/// The first source of each channel, in the order of the configuration.
fn one_source_a_channel(config: &Config) -> Vec<&Source> {
    let mut channels = HashSet::new();
    config.sources.iter().filter(|source| channels.insert(source.channel.as_str())).collect()
}

/// What became of one request.
#[derive(Debug)]
struct Ending {
    request: Uuid,
    /// The row that it is, or that it repeats.
    row: Option<Uuid>,
    channel: String,
    source: String,
    ended_as: String,
    kind: String,
    sender: Option<String>,
    text: Option<String>,
}

/// Polls until every request has an ending, or the time is up.
async fn wait(url: &str, ids: &[Uuid]) -> Result<Vec<Ending>, sqlx::Error> {
    let mut connection = PgConnection::connect(url).await?;
    let deadline = Instant::now() + LIMIT;
    loop {
        let rows = sqlx::query(ENDINGS).bind(ids).fetch_all(&mut connection).await?;
        let endings: Vec<Ending> = rows.iter().map(read).collect::<Result<_, _>>()?;
        let ended: HashSet<&Uuid> = endings.iter().map(|ending| &ending.request).collect();
        if ended.len() == ids.len() || Instant::now() >= deadline {
            connection.close().await?;
            return Ok(endings);
        }
        sleep(POLL).await;
    }
}

fn read(row: &sqlx::postgres::PgRow) -> Result<Ending, sqlx::Error> {
    Ok(Ending {
        request: row.try_get("request_id")?,
        row: row.try_get("row_id")?,
        channel: row.try_get("channel")?,
        source: row.try_get("source")?,
        ended_as: row.try_get("ending")?,
        kind: row.try_get("kind")?,
        sender: row.try_get("sender")?,
        text: row.try_get("text")?,
    })
}

fn table(endings: &[Ending]) -> String {
    let mut table = out::table(&["channel", "source", "ended as", "kind", "from", "text"]);
    for ending in endings {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let (sender, words) = (text(&ending.sender), text(&ending.text));
        table.add_row([&ending.channel, &ending.source, &ending.ended_as, &ending.kind, &sender, &words]);
    }
    out::rendered(&table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime::config::{Environment, Need, Requirements};

    const ROW: Uuid = Uuid::from_u128(7);

    fn ending(request: u128, ended_as: &str, row: Option<Uuid>) -> Ending {
        Ending {
            request: Uuid::from_u128(request),
            row,
            channel: "form".into(),
            source: "contact".into(),
            ended_as: ended_as.into(),
            kind: "message".into(),
            sender: None,
            text: None,
        }
    }

    fn show(repeats: bool) -> Show {
        let accepted = vec![Uuid::from_u128(1), Uuid::from_u128(2)];
        Show { source: "contact".into(), accepted, refused: 0, repeats }
    }

    #[test]
    fn a_message_and_its_copy_are_one_row_and_one_repeat_of_it() {
        let row = || ending(1, "row", Some(ROW));
        let repeat = |of| ending(2, "repeat", Some(of));
        assert_eq!(show(true).fault(&[row(), repeat(ROW)]), None);
        for wrong in [
            vec![],
            vec![row()],
            vec![row(), ending(2, "row", Some(Uuid::from_u128(8)))],
            vec![row(), repeat(Uuid::from_u128(8))],
            vec![row(), repeat(ROW), repeat(ROW)],
            vec![row(), ending(2, "dead", None)],
            vec![row(), repeat(ROW), ending(2, "dead", None)],
        ] {
            assert!(show(true).fault(&wrong).is_some(), "{wrong:?}");
        }
        let refused = Show { refused: 1, ..show(true) };
        assert!(refused.fault(&[row(), repeat(ROW)]).is_some());
    }

    #[test]
    fn where_a_source_knows_no_repeats_each_copy_is_a_row() {
        let rows = [ending(1, "row", Some(ROW)), ending(2, "row", Some(Uuid::from_u128(8)))];
        assert_eq!(show(false).fault(&rows), None);
        assert!(show(true).fault(&rows).unwrap().contains("1 row and 1 repeat of it must be there; found 2 rows"));
    }

    #[test]
    fn a_copy_answered_with_409_is_refused_only_where_nobody_asked_for_that() {
        let posted = |status, id: u128| Posted {
            status,
            id: Some(Uuid::from_u128(id)),
            stored: None,
            headers: Vec::new(),
            body: String::new(),
            milliseconds: 1,
        };
        let source = |more: &str| {
            let text = format!("[[sources]]\nname = 'a'\nchannel = 'form'\nprovider = 'generic'\n{more}");
            let environment = Environment::default();
            let config = Config::parse_for(&text, "t", &environment, Requirements::every(Need::Optional)).unwrap();
            config.sources.into_iter().next().unwrap()
        };
        let copies = [posted(200, 1), posted(409, 2)];
        let asked = Show::of(&source("on_duplicate = 'conflict'"), &copies);
        assert_eq!((asked.accepted.len(), asked.refused), (1, 0));
        assert_eq!(asked.fault(&[ending(1, "row", Some(ROW))]), None);
        assert_eq!(Show::of(&source(""), &copies).refused, 1);
    }
}
