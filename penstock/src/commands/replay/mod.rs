//! `penstock replay`: has requests read again, from `RAW` by way of `REPLAY`.
//!
//! Replaying changes nothing that should not change: every record made from a replayed request has the same id as
//! before, is judged by the persister like any other, and corrects its own row where today's reading differs. So a
//! replay may be interrupted and run again, under the same name or another.

mod tally;

use std::time::Duration;

use clap::Args;
use indicatif::ProgressBar;
use ingest_gateway::probe::SUBJECT as PROBE;
use persister::Query;
use proto::RawEnvelope;
use proto::subject::channel_and_source;
use runtime::nats::Nats;
use runtime::publish::Outgoing;
use runtime::topology::RAW;
use tokio::time::Instant;
use uuid::Uuid;

use self::tally::Tally;
use super::choice::{Choice, ChoiceArgs};
use super::database::Database;
use super::error::{Answer, CommandError, Ending};
use super::locate::Reach;
use super::resend::{self, ResendError};
use super::site::{Site, Where};
use super::stream::{self, Begin, Scan, Stored};
use super::{clock, dlq, locate, out};

/// What `penstock replay` is told.
#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    #[command(flatten)]
    place: Where,
    /// A Penstock-Id, a record's id or a provider's id; can be given several times
    #[arg(long, value_name = "ID", conflicts_with_all = ["source", "channel", "since", "until", "from_sequence"])]
    id: Vec<String>,
    #[command(flatten)]
    choice: ChoiceArgs,
    /// From this sequence of RAW on: where an interrupted run ended
    #[arg(long, value_name = "N")]
    from_sequence: Option<u64>,
    /// Count, and send nothing
    #[arg(long)]
    dry_run: bool,
    /// The name of the run, to go on with one that was interrupted [default: a new one]
    #[arg(long, value_name = "NAME", value_parser = resend::parse_run)]
    run: Option<String>,
    /// Requests a second at most
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Requests in one batch, and their bytes: what is in memory and on the wire at once.
const BATCH: usize = 256;
const BATCH_BYTES: usize = 8 * 1024 * 1024;

pub(crate) async fn run(args: ReplayArgs) -> Answer {
    let choice = args.choice.read()?;
    let site = args.place.site()?;
    let nats = site.nats().await?;
    let run = args.run.clone().unwrap_or_else(resend::run_name);
    let mut replay = Replay::new(nats, &args, run);
    let read = tokio::select! {
        read = replay.read(&site, &choice, &args.id) => read,
        _ = tokio::signal::ctrl_c() => {
            Err(CommandError::finding("interrupted", "nothing has to be undone: what was sent is read again, and that is all"))
        }
    };
    replay.bar.finish_and_clear();
    if let Err(error) = read {
        out::note(replay.how_to_go_on());
        return Err(error);
    }
    tell(&args, &replay);
    if !args.dry_run {
        complete_dead_letters(&site, &replay.nats).await?;
    }
    if replay.tally.requests() == 0 {
        let next = "RAW keeps what `retention.raw` says; look at `penstock status` for the age of its oldest request";
        return Err(CommandError::finding("no request in RAW is meant by that", next));
    }
    Ok(Ending::finding_if(replay.tally.without_body > 0))
}

/// A replay fills emptied tables again; the rows of what is in `DLQ` are the ones that it cannot.
async fn complete_dead_letters(site: &Site, nats: &Nats) -> Result<(), CommandError> {
    let (database, store) = match (Database::connect(site).await, site.store().await) {
        (Ok(database), Ok(store)) => (database, store),
        (Err(error), _) | (_, Err(error)) => {
            out::note(format!("{error}: if the tables were emptied, run this again for the rows of dead_letters"));
            return Ok(());
        }
    };
    let written = dlq::record_missing(nats, &database, &store).await?;
    if written > 0 {
        out::note(format!(
            "{} of DLQ had no row in dead_letters, and has one again",
            out::several(written, "entry", "entries")
        ));
    }
    Ok(())
}

fn tell(args: &ReplayArgs, replay: &Replay) {
    let run = (!args.dry_run).then_some(replay.run.as_str());
    if args.json {
        out::json(&replay.tally.json(run));
        return;
    }
    if replay.tally.requests() > 0 {
        out::line(out::rendered(&replay.tally.table()));
    }
    let requests = usize::try_from(replay.tally.requests()).unwrap_or(usize::MAX);
    let requests = out::several(requests, "request", "requests");
    match run {
        None => out::line(format!("{requests} would be read again; nothing was sent")),
        Some(run) => {
            out::line(format!("{requests} will be read again, as run {run}; watch with `penstock status --watch`"));
        }
    }
    if replay.tally.without_body > 0 {
        out::note(format!("{} left out: their bodies are not in BODIES any more", replay.tally.without_body));
    }
    if replay.tally.strangers > 0 {
        out::note(format!("{} messages of RAW left out: they do not carry our headers", replay.tally.strangers));
    }
}

/// A replay under way.
struct Replay {
    nats: Nats,
    run: String,
    dry_run: bool,
    from: Option<u64>,
    pace: Option<Pace>,
    bar: ProgressBar,
    tally: Tally,
    batch: Vec<Outgoing>,
    batch_bytes: usize,
    /// Everything up to this sequence of RAW has been sent.
    sent_to: u64,
    read_to: u64,
}

impl Replay {
    fn new(nats: Nats, args: &ReplayArgs, run: String) -> Self {
        Self {
            nats,
            run,
            dry_run: args.dry_run,
            from: args.from_sequence,
            pace: args.rate.map(Pace::new),
            bar: ProgressBar::hidden(),
            tally: Tally::default(),
            batch: Vec::new(),
            batch_bytes: 0,
            sent_to: 0,
            read_to: 0,
        }
    }

    async fn read(&mut self, site: &Site, choice: &Choice, ids: &[String]) -> Result<(), CommandError> {
        if ids.is_empty() { self.all(choice).await } else { self.some(site, ids).await }
    }

    /// Everything that is meant, in the order of the stream.
    async fn all(&mut self, choice: &Choice) -> Result<(), CommandError> {
        let begin = self.from.map_or_else(|| choice.begin(), Begin::Sequence);
        let scan = Scan { stream: RAW, subjects: choice.subjects(), begin, headers_only: self.dry_run };
        let mut scanner = scan.start(&self.nats).await?;
        self.bar = out::progress(scanner.total(), "requests");
        while let Some(message) = scanner.next().await? {
            self.bar.inc(1);
            if choice.is_past(message.stored_at) {
                break;
            }
            match RawEnvelope::read(&message) {
                Ok(envelope) if choice.fits(envelope.received_at) => self.take(message, envelope).await?,
                Ok(_) => {}
                // The gateway's own, to see whether RAW takes any.
                Err(_) if message.subject == PROBE => {}
                Err(_) => self.tally.strangers += 1,
            }
        }
        self.flush().await
    }

    /// Those with these ids.
    async fn some(&mut self, site: &Site, ids: &[String]) -> Result<(), CommandError> {
        for id in ids {
            for request in requests_of(site, id).await? {
                let message = match locate::by_id(&self.nats, RAW, request, Reach::Far).await? {
                    // What was looked through had no payloads.
                    Some(place) => stream::first(&self.nats, RAW, &place.subject, place.sequence).await?,
                    None => None,
                };
                let envelope = message.as_ref().and_then(|message| RawEnvelope::read(message).ok());
                match message.zip(envelope) {
                    Some((message, envelope)) => self.take(message, envelope).await?,
                    None => {
                        out::note(format!("{id} is not in RAW: it is older than `retention.raw`, or never came in"));
                    }
                }
            }
        }
        self.flush().await
    }

    /// Counts a request, and sends it unless this is for counting only.
    async fn take(&mut self, message: Stored, envelope: RawEnvelope) -> Result<(), CommandError> {
        self.read_to = message.sequence;
        let Some((channel, source)) = channel_and_source(&message.subject) else {
            self.tally.strangers += 1;
            return Ok(());
        };
        self.tally.add(&message.subject, size_of(&message, &envelope));
        if self.dry_run {
            return Ok(());
        }
        let again = async {
            resend::renew(&self.nats, envelope.id, envelope.body).await?;
            resend::request(channel, &source, &envelope, Some(message.sequence), &self.run, message.payload)
        };
        match again.await {
            Ok(outgoing) => {
                self.batch_bytes += outgoing.payload.len();
                self.batch.push(outgoing);
            }
            Err(ResendError::Broker(error)) => return Err(error),
            Err(ResendError::NoBody | ResendError::Header) => self.tally.without_body += 1,
        }
        if self.batch.len() >= self.batch_size() || self.batch_bytes >= BATCH_BYTES {
            self.flush().await?;
        }
        Ok(())
    }

    /// A slow rate is kept by small batches.
    fn batch_size(&self) -> usize {
        self.pace.as_ref().map_or(BATCH, |pace| (pace.rate as usize / 4).clamp(1, BATCH))
    }

    async fn flush(&mut self) -> Result<(), CommandError> {
        let batch = std::mem::take(&mut self.batch);
        self.batch_bytes = 0;
        if !batch.is_empty() {
            if let Some(pace) = &mut self.pace {
                pace.wait(batch.len()).await;
            }
            resend::publish(&self.nats, batch).await?;
        }
        self.sent_to = self.read_to;
        Ok(())
    }

    fn how_to_go_on(&self) -> String {
        if self.dry_run || self.sent_to == 0 {
            return "nothing was sent".to_owned();
        }
        let next = self.sent_to + 1;
        format!(
            "sent up to RAW/{}; go on with the same filters and --run {} --from-sequence {next}",
            self.sent_to, self.run
        )
    }
}

/// Bytes of a request's body, also where only its headers were read.
fn size_of(message: &Stored, envelope: &RawEnvelope) -> u64 {
    use proto::envelope::Lookup as _;
    let told = || message.get("Nats-Msg-Size").and_then(|size| size.parse().ok());
    envelope.body.map(|body| body.size).or_else(told).unwrap_or(message.payload.len() as u64)
}

/// The requests that an id may mean. Only a Penstock-Id can be looked up without the database.
async fn requests_of(site: &Site, id: &str) -> Result<Vec<Uuid>, CommandError> {
    let uuid = id.parse::<Uuid>().ok();
    if let Some(id) = uuid.filter(|id| clock::of_id(*id).is_some()) {
        // A request's id, or a record's, which RAW is searched for all the same.
        return Ok(vec![id]);
    }
    let found = site.store().await?.lookup(Query::ProviderMessage(id)).await?;
    let mut requests: Vec<Uuid> = found.into_iter().map(|found| found.request_id).collect();
    requests.sort_unstable();
    requests.dedup();
    if requests.is_empty() {
        let next = "look with `penstock explain`, or name the Penstock-Id of the gateway's answer";
        return Err(CommandError::finding(format!("nothing is known of {id}"), next));
    }
    Ok(requests)
}

/// Keeps to a rate over the whole run.
struct Pace {
    rate: u32,
    started: Instant,
    sent: usize,
}

impl Pace {
    fn new(rate: u32) -> Self {
        Self { rate, started: Instant::now(), sent: 0 }
    }

    /// Waits until `more` may be sent.
    async fn wait(&mut self, more: usize) {
        tokio::time::sleep_until(self.started + due(self.sent, self.rate)).await;
        self.sent += more;
    }
}

/// When the next may be sent after `sent`, from the start.
fn due(sent: usize, rate: u32) -> Duration {
    Duration::from_secs(sent as u64) / rate.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_kept_from_the_start() {
        assert_eq!(due(0, 10), Duration::ZERO);
        assert_eq!(due(25, 10), Duration::from_millis(2500));
    }
}
