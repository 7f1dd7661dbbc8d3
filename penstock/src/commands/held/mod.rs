//! `penstock held`: requests whose signature was wrong when they came in, kept so that a wrong secret on our side costs
//! nothing. Looked at, and released after another check.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use ingest_gateway::egress::Egress;
use ingest_gateway::fetcher::Fetcher;
use proto::subject::{SourceName, channel_and_source};
use proto::{Channel, RawEnvelope, Verified, subject};
use providers::Verdict;
use runtime::config::Config;
use runtime::error_chain::Chain;
use runtime::nats::Nats;
use runtime::publish::Outgoing;
use runtime::topology::HELD;
use serde::Serialize;
use uuid::Uuid;

use super::error::{Answer, CommandError, Ending};
use super::locate::Reach;
use super::recheck::{Judge, NoJudge};
use super::resend::{self, ResendError};
use super::site::Where;
use super::stream::{self, Begin, Scan, Stored};
use super::{clock, locate, out};

/// What `penstock held` is told.
#[derive(Debug, Args)]
pub(crate) struct HeldArgs {
    #[command(subcommand)]
    what: HeldCommand,
}

#[derive(Debug, Subcommand)]
enum HeldCommand {
    /// What is held, oldest first, and whether today's secrets fit it
    List(ListArgs),
    /// Check again, with today's secrets, and let in what fits
    Release(ReleaseArgs),
}

#[derive(Debug, Args)]
struct ListArgs {
    #[command(flatten)]
    place: Where,
    /// Of this source
    #[arg(long, value_name = "NAME", value_parser = SourceName::parse)]
    source: Option<SourceName>,
    /// Requests at most
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(
    override_usage = "penstock held release [OPTIONS] <ID>\n       penstock held release [OPTIONS] --all\n       \
    penstock held release [OPTIONS] --source <NAME>"
)]
struct ReleaseArgs {
    /// The Penstock-Id of a held request
    #[arg(required_unless_present_any = ["all", "source"], conflicts_with_all = ["all", "source"])]
    id: Option<Uuid>,
    #[command(flatten)]
    place: Where,
    /// All that are held for this source
    #[arg(long, value_name = "NAME", value_parser = SourceName::parse)]
    source: Option<SourceName>,
    /// All that are held
    #[arg(long)]
    all: bool,
    /// Let in what does not fit as well; it is marked as not verified
    #[arg(long)]
    unverified: bool,
    /// Say what would be let in, and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// A held request, judged with today's secrets.
#[derive(Debug, Serialize)]
struct Judged {
    id: Uuid,
    received_at: String,
    channel: Channel,
    source: String,
    provider: String,
    bytes: usize,
    /// In words.
    now: String,
    /// What it would be marked as; `None` where nobody can judge it.
    verified: Option<Verified>,
    sequence: u64,
}

pub(crate) async fn run(args: HeldArgs) -> Answer {
    match args.what {
        HeldCommand::List(args) => list(args).await,
        HeldCommand::Release(args) => release(args).await,
    }
}

/// Judges sources, each of which is read from the configuration once.
struct Court {
    config: Config,
    judges: BTreeMap<(Channel, SourceName), Result<Judge, NoJudge>>,
    fetcher: Fetcher,
}

impl Court {
    fn new(config: Config) -> Self {
        Self { config, judges: BTreeMap::new(), fetcher: Fetcher::default() }
    }

    async fn judge(&mut self, message: &Stored) -> Option<(RawEnvelope, Judged)> {
        let (channel, source) = channel_and_source(&message.subject)?;
        let envelope = RawEnvelope::read(message).ok()?;
        let judge = self
            .judges
            .entry((channel, source.clone()))
            .or_insert_with(|| Judge::new(&self.config, channel, source.as_str()));
        let verdict = match judge {
            Ok(judge) => verdict(judge, &self.fetcher, &self.config, &envelope, &message.payload).await,
            Err(why) => Err(Chain(why).to_string()),
        };
        let judged = Judged {
            id: envelope.id,
            received_at: envelope.received_at.to_string(),
            channel,
            source: source.to_string(),
            provider: envelope.provider.clone(),
            bytes: message.payload.len(),
            now: match &verdict {
                Ok(verdict) => verdict.to_string(),
                Err(why) => why.clone(),
            },
            verified: verdict.ok().map(Verdict::verified),
            sequence: message.sequence,
        };
        Some((envelope, judged))
    }
}

/// The verdict, or in words why there is none: a certificate that it takes cannot be had.
async fn verdict(
    judge: &Judge,
    fetcher: &Fetcher,
    config: &Config,
    envelope: &RawEnvelope,
    body: &[u8],
) -> Result<Verdict, String> {
    let Some(url) = judge.certificate_url(envelope, body) else { return Ok(judge.judge(envelope, body, None)) };
    let egress =
        Egress::build(&config.gateway.egress).map_err(|error| format!("{}: {}", error.key(), Chain(&error)))?;
    let certificate = fetcher.certificate(&egress, &url, envelope.received_at, || true).await;
    let certificate = certificate.map_err(|error| Chain(&*error).to_string())?;
    Ok(judge.judge(envelope, body, Some(&certificate)))
}

/// The subjects of a source, in whatever channel.
fn subjects(source: Option<&SourceName>) -> Vec<String> {
    source.map(|source| format!("held.*.{source}")).into_iter().collect()
}

async fn list(args: ListArgs) -> Answer {
    let site = args.place.site()?;
    let mut court = Court::new(site.config()?);
    let nats = site.nats().await?;
    let (begin, headers_only) = (Begin::Sequence(1), false);
    let subjects = subjects(args.source.as_ref());
    let mut scanner = Scan { stream: HELD, subjects, begin, headers_only }.start(&nats).await?;
    let (mut judged, total) = (Vec::new(), scanner.total());
    while let Some(message) = scanner.next().await? {
        if judged.len() >= args.limit {
            break;
        }
        judged.extend(court.judge(&message).await.map(|(_, judged)| judged));
    }
    if args.json {
        out::json(&judged);
    } else if judged.is_empty() {
        out::line("nothing");
    } else {
        out::line(out::rendered(&table(&judged, clock::now())));
        if total > judged.len() as u64 {
            out::note(format!(
                "{} of {} are shown: raise --limit, or choose with --source",
                judged.len(),
                out::count(total)
            ));
        }
        out::line(format!("let in what fits: penstock held release --all{}", args.place.flags()));
    }
    Ok(Ending::Clean)
}

fn table(judged: &[Judged], now: i64) -> comfy_table::Table {
    let mut table = out::table(&["id", "received", "source", "provider", "size", "with today's secrets"]);
    for held in judged {
        let received = clock::parse(&held.received_at, now).map_or_else(|_| String::new(), |at| clock::ago(at, now));
        table.add_row([
            out::cell(held.id.to_string()),
            out::cell(received),
            out::cell(format!("{}/{}", held.channel, held.source)),
            out::cell(&held.provider),
            out::cell(out::bytes(held.bytes as u64)),
            out::mark(&held.now, fits(held.verified)),
        ]);
    }
    out::keep_whole(&mut table, 0);
    table
}

fn fits(verified: Option<Verified>) -> bool {
    matches!(verified, Some(Verified::Yes | Verified::None))
}

/// What a request is let in as; `None`: it stays where it is.
fn admitted(verified: Option<Verified>, unverified: bool) -> Option<Verified> {
    match verified {
        Some(fits @ (Verified::Yes | Verified::None)) => Some(fits),
        Some(Verified::No) | None => unverified.then_some(Verified::No),
    }
}

async fn release(args: ReleaseArgs) -> Answer {
    let site = args.place.site()?;
    let mut court = Court::new(site.config()?);
    let nats = site.nats().await?;
    let begin = match args.id {
        Some(id) => Begin::Sequence(place_of(&nats, id).await?),
        None => Begin::Sequence(1),
    };
    let scan = Scan { stream: HELD, subjects: subjects(args.source.as_ref()), begin, headers_only: false };
    let mut scanner = scan.start(&nats).await?;
    let (mut released, mut stay) = (0, 0);
    while let Some(message) = scanner.next().await? {
        if release_one(&nats, &mut court, &message, &args).await? {
            released += 1;
        } else {
            stay += 1;
        }
        if args.id.is_some() {
            break;
        }
    }
    let done = if args.dry_run { "would be let in" } else { "let in" };
    out::line(format!("{} {done}, {stay} held", out::several(released, "request", "requests")));
    if stay > 0 {
        out::note(
            "  next: put the secret right in the configuration and run this again, or force it with --unverified",
        );
    }
    Ok(Ending::finding_if(stay > 0))
}

/// Judges one request and lets it in where it fits; whether it did.
async fn release_one(
    nats: &Nats,
    court: &mut Court,
    message: &Stored,
    args: &ReleaseArgs,
) -> Result<bool, CommandError> {
    let Some((envelope, judged)) = court.judge(message).await else {
        out::note(format!("HELD/{} does not carry our headers; it stays", message.sequence));
        return Ok(false);
    };
    let Some(verified) = admitted(judged.verified, args.unverified) else {
        out::line(format!("{}  {}", judged.id, out::bad(&format!("stays: {}", judged.now))));
        return Ok(false);
    };
    if !args.dry_run {
        let outgoing = raw(message, &envelope, verified).map_err(unwritable)?;
        let_in(nats, outgoing, message.sequence).await?;
    }
    let done = if args.dry_run { "would be let in" } else { "let in" };
    let how = format!("{done}, verified: {verified} ({})", judged.now);
    out::line(format!("{}  {}", judged.id, out::good(&how)));
    Ok(true)
}

async fn place_of(nats: &Nats, id: Uuid) -> Result<u64, CommandError> {
    let found = locate::by_id(nats, HELD, id, Reach::Far).await?;
    found.map(|stored| stored.sequence).ok_or_else(|| {
        let next =
            format!("see what is held with `penstock held list`, or what became of it with `penstock explain {id}`");
        CommandError::finding(format!("{id} is not held"), next)
    })
}

/// The request as `RAW` takes it: as it came in, with today's verdict.
fn raw(message: &Stored, envelope: &RawEnvelope, verified: Verified) -> Result<Outgoing, ResendError> {
    let (channel, source) = channel_and_source(&message.subject).ok_or(ResendError::Header)?;
    let pairs = RawEnvelope { verified, ..envelope.clone() }.to_pairs();
    resend::message(subject::raw(channel, &source), &envelope.id.to_string(), &pairs, message.payload.clone())
}

fn unwritable(error: ResendError) -> CommandError {
    CommandError::finding("a held request cannot be let in", "see the cause").because(error)
}

/// Publishes to `RAW`, and only then deletes from `HELD`.
///
/// Killed in between, the request is in both. Releasing it again is harmless: it keeps its `Penstock-Id`, so that within
/// two minutes the broker drops the second copy, and after that its records have the ids of the first ones', which the
/// persister takes for a redelivery.
async fn let_in(nats: &Nats, outgoing: Outgoing, sequence: u64) -> Result<(), CommandError> {
    resend::publish(nats, vec![outgoing]).await?;
    stream::delete(nats, HELD, sequence).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_stays_unless_it_is_forced() {
        for fits in [Verified::Yes, Verified::None] {
            assert_eq!(admitted(Some(fits), false), Some(fits));
            assert_eq!(admitted(Some(fits), true), Some(fits), "forcing takes no verdict away");
        }
        for misfit in [Some(Verified::No), None] {
            assert_eq!(admitted(misfit, false), None);
            assert_eq!(admitted(misfit, true), Some(Verified::No));
        }
    }

    #[test]
    fn a_released_request_is_the_same_request() {
        let envelope = RawEnvelope {
            id: Uuid::from_u128(7),
            received_at: proto::Millis::from_unix(1_795_412_009_120).unwrap(),
            method: "POST".into(),
            query: None,
            provider: "twilio".into(),
            verified: Verified::No,
            headers: Vec::new(),
            body: None,
            replay: None,
            traceparent: None,
        };
        let message = Stored {
            subject: "held.sms.support".into(),
            sequence: 1,
            stored_at: 0,
            headers: async_nats::HeaderMap::new(),
            payload: "body".into(),
        };
        let outgoing = raw(&message, &envelope, Verified::Yes).unwrap();
        let header = |name: &str| outgoing.headers.get(name).map(async_nats::HeaderValue::as_str);
        assert_eq!(outgoing.subject, "raw.sms.support");
        assert_eq!(header("Nats-Msg-Id"), Some("00000000-0000-0000-0000-000000000007"));
        assert_eq!((header("Penstock-Verified"), header("Penstock-Replay")), (Some("yes"), None));
        assert_eq!(header("Penstock-Received-At"), Some("2026-11-23T05:33:29.120Z"));
    }
}
