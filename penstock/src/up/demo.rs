//! `--demo`: posts one real payload for each channel, each twice as a provider's retry would, and shows what became of
//! them.

use std::collections::HashSet;
use std::time::Duration;

use runtime::config::{Config, Source};
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Row as _};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::run_file::RunFile;
use super::site::{Site, StepError};
use crate::commands::out;
use crate::commands::send::post_sample;
use crate::servers::console::Console;

/// A provider that heard nothing tries again.
const COPIES: usize = 2;
/// Longest wait for the rows.
const LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);

/// What became of the requests: every row and every repeat, in the order they came in.
const ENDINGS: &str = "
    SELECT request_id, channel, source, 'row' AS ending, kind, sender_address AS sender, text, received_at
        FROM messages WHERE request_id = ANY($1)
    UNION ALL SELECT request_id, channel, source, 'row', kind, sender_address, status, received_at
        FROM message_statuses WHERE request_id = ANY($1)
    UNION ALL SELECT request_id, channel, source, 'repeat', verdict, NULL, 'of ' || original_id, received_at
        FROM duplicates WHERE request_id = ANY($1)
    UNION ALL SELECT request_id, channel, source, 'dead', reason, NULL, detail, received_at
        FROM dead_letters WHERE request_id = ANY($1)
    ORDER BY received_at";

/// Posts to `run.gateway_url` and waits for the rows in `site.postgres_url`. `Ok(false)` when a row is missing.
pub(crate) async fn demo(site: &Site, run: &RunFile, console: &Console) -> Result<bool, StepError> {
    let config = site.configuration()?;
    let gateway = run.gateway_url.as_deref().unwrap_or_default();
    let mut ids = Vec::new();
    let mut refused = false;
    for source in one_source_a_channel(&config) {
        let posted = post_sample(&config, gateway, &source.name, None, COPIES).await.map_err(StepError::failed)?;
        for answer in posted {
            let path = format!("POST /v1/{}/{}", source.channel, source.name);
            console.line(&format!(
                "  {path:<28} {} in {} ms  {}",
                answer.status,
                answer.milliseconds,
                answer.body.trim()
            ));
            refused |= !answer.is_success();
            ids.extend(answer.id);
        }
    }
    let endings = wait(&site.postgres_url, &ids).await.map_err(StepError::failed)?;
    console.line(&table(&endings));
    let expected: HashSet<&Uuid> = ids.iter().collect();
    let ended: HashSet<&Uuid> = endings.iter().map(|ending| &ending.request).collect();
    let alive = endings.iter().all(|ending| ending.ended_as != "dead");
    Ok(!refused && alive && !expected.is_empty() && expected == ended)
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
