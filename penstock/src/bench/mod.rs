//! `penstock bench`: drives the gateway as a provider would, watches the rows appear, and says what it saw.
//!
//! Order: find everything, warm up and let that drain, send and watch, let the workers come to rest and compare
//! (`--verify`), measure the floors (`--floors`), report. [`schedule`], [`mod@watch`], [`ledger`] and [`report`] decide and are pure; [`load`], [`watching`],
//! [`database`], [`floors`] and [`resources`] do.
//!
//! What a reader would get wrong: the warm-up is not in the figures, but it is in the ledger, which leaves out nothing
//! that was sent.

mod args;
mod database;
mod error;
mod floors;
mod ledger;
#[cfg(test)]
mod ledger_tests;
mod load;
#[cfg(test)]
mod load_tests;
mod machine;
mod message;
mod player;
mod progress;
mod quiet;
mod report;
mod resources;
mod schedule;
mod target;
mod watch;
mod watching;
mod wire;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

pub(crate) use args::BenchArgs;

use database::Database;
use error::BenchError;
use ledger::{Answer, Ledger, Sent, classify};
use load::{Live, Plan, Sending, send};
use machine::Machine;
use message::{Run, millis_of};
use player::Player;
use quiet::quiet;
use report::{EndToEnd, Floors, Latency, Load, Report, Setup, per, seconds, used};
use resources::{Groups, Observer, Usage};
use target::Target;
use watching::{Manner, Progress, Seen, watch};

use crate::commands::error::{CommandError, Ending};
use crate::commands::out;

/// Missing and doubled messages that are named one by one.
const FAULTS_SHOWN: usize = 20;
/// Rates up to this one are watched closely; beyond, looking would cost what is measured.
const CLOSE_WATCH: f64 = 2000.0;
const CLOSE: Duration = Duration::from_millis(2);
const COARSE: Duration = Duration::from_millis(20);
/// A row's time is the gateway's or, where that is off, the broker's.
const CLOCKS_APART: u64 = 10 * 60 * 1000;

/// Runs a benchmark and prints its report.
pub(crate) async fn run(args: BenchArgs) -> Result<Ending, CommandError> {
    let target = Target::find(&args).await?;
    let source = player::choose(&target.config, args.source.as_deref())?;
    let player = Player::new(Run::draw(), source, &target.config, &target.gateway, args.size)?;
    let setup = Setup {
        source: source.name.clone(),
        provider: source.provider.clone(),
        rate: args.rate,
        connections: args.connections,
        seconds: seconds(args.duration),
        duplicates: args.duplicates,
        bytes: args.size,
    };
    let database = Database::connect(target.site.postgres_url()?, args.duplicates > 0.0).await?;
    let nats = target.site.nats().await?;
    let player = Arc::new(player);
    let run = player.run;
    let mut bench = Bench { player, database, observer: Observer::new(groups(&target)), sent: Vec::new(), args };
    let report = bench.measure(&target, setup, &nats).await?;

    if bench.args.json {
        out::json(&report);
    } else {
        out::line(report.text(run, FAULTS_SHOWN));
    }
    Ok(Ending::finding_if(report.ledger.is_some_and(|ledger| !ledger.is_exact())))
}

/// Those of the run, and this process: it shares the machine with them.
fn groups(target: &Target) -> Groups {
    let mut groups = target.groups.clone();
    groups.extend(i32::try_from(std::process::id()).ok().map(|pid| ("bench".to_owned(), vec![pid])));
    groups
}

struct Bench {
    args: BenchArgs,
    player: Arc<Player>,
    database: Database,
    observer: Observer,
    /// Every request of the run.
    sent: Vec<Sent>,
}

/// One stretch of sending, until its last ending was seen.
struct Phase {
    sending: Sending,
    seen: Seen,
    before: Vec<(String, Option<Usage>)>,
    after: Vec<(String, Option<Usage>)>,
}

impl Bench {
    async fn measure(
        &mut self,
        target: &Target,
        setup: Setup,
        nats: &runtime::nats::Nats,
    ) -> Result<Report, BenchError> {
        let plan = Plan {
            address: target.address,
            connections: self.args.connections,
            first_connection: 0,
            rate: self.args.rate,
            duration: self.args.warmup,
            repeats: self.args.duplicates,
        };
        if !plan.duration.is_zero() {
            let warm = self.phase(plan, "warming up").await?;
            if warm.seen.left > 0 {
                out::note(format!(
                    "{} requests of the warm-up have no ending yet: the figures begin in debt",
                    warm.seen.left
                ));
            }
        }
        let plan = Plan { first_connection: plan.connections, duration: self.args.duration, ..plan };
        let phase = self.phase(plan, "sending").await?;
        let ledger = if self.args.verify { Some(self.verify(&setup.source, nats).await?) } else { None };
        let floors = if self.args.floors {
            out::note("measuring the floors ...");
            let plan = Plan { first_connection: 2 * plan.connections, repeats: 0.0, ..plan };
            Some(self.floors(plan, nats).await?)
        } else {
            None
        };
        let load = load_of(&phase.sending);
        Ok(Report {
            run: self.player.run.to_string(),
            machine: Machine::this_one(),
            nats: nats.client().server_info().version,
            postgres: self.database.version().await?,
            setup,
            accept: Latency::of(&phase.sending.latency),
            visible: Latency::of(&phase.seen.visible),
            looks: Latency::of(&phase.seen.gaps),
            end_to_end: end_to_end(&phase),
            resources: used(&phase.before, &phase.after, load.accepted),
            load,
            floors,
            ledger,
        })
    }

    /// Sends and watches, until everything has ended or patience has.
    async fn phase(&mut self, plan: Plan, what: &'static str) -> Result<Phase, BenchError> {
        let (live, progress) = (Arc::new(Live::default()), Progress::default());
        let close = plan.rate.is_some_and(|rate| rate <= CLOSE_WATCH);
        let manner = Manner { every: if close { CLOSE } else { COARSE }, patience: self.args.drain };
        let before = self.observer.sample();
        let sending = async {
            let sending = send(plan, Arc::clone(&self.player), Arc::clone(&live)).await;
            progress.all_sent.store(true, Ordering::Release);
            sending
        };
        let work = async { futures::join!(sending, watch(&mut self.database, &live, &progress, manner)) };
        let observer = &mut self.observer;
        let (sending, seen) = tokio::select! {
            both = work => both,
            never = progress::tell(what, plan, &live, &progress, || drop(observer.sample())) => match never {},
        };
        let (sending, seen) = (sending?, seen?);
        self.sent.extend_from_slice(&sending.sent);
        Ok(Phase { sending, seen, before, after: self.observer.sample() })
    }

    /// Compares, once nothing is under way any more: before that, more endings may come, and too many.
    async fn verify(&mut self, source: &str, nats: &runtime::nats::Nats) -> Result<Ledger, BenchError> {
        out::note("waiting until every worker is idle, then comparing what was sent with what is stored ...");
        if !quiet(nats, self.args.drain).await? {
            out::note("a worker is still at work: what it has in hand may still be missing, or come twice");
        }
        let ids = self.sent.iter().filter_map(|sent| match sent.answer {
            Answer::Accepted(id) => Some(millis_of(id)),
            _ => None,
        });
        let since = ids.min().unwrap_or_default().saturating_sub(CLOCKS_APART);
        let endings = self.database.endings(self.player.run, source, since).await?;
        Ok(classify(&self.sent, endings))
    }

    async fn floors(&self, plan: Plan, nats: &runtime::nats::Nats) -> Result<Floors, BenchError> {
        let http = floors::http(plan, Arc::clone(&self.player)).await?;
        let (published, took) = floors::nats(nats, &self.player).await?;
        Ok(Floors {
            http_per_second: per(http.sent.len() as u64, seconds(http.took)),
            http: Latency::of(&http.latency),
            nats_per_second: per(published, seconds(took)),
        })
    }
}

fn load_of(sending: &Sending) -> Load {
    let mut load = Load { requests: sending.sent.len() as u64, seconds: seconds(sending.took), ..Load::default() };
    for sent in &sending.sent {
        match sent.answer {
            Answer::Accepted(_) | Answer::Held | Answer::Nameless => load.accepted += 1,
            Answer::Refused(_) => load.refused += 1,
            Answer::Unanswered => load.unanswered += 1,
        }
    }
    load
}

fn end_to_end(phase: &Phase) -> EndToEnd {
    let (sending, seen) = (&phase.sending, &phase.seen);
    let took = seen.last.map_or(sending.took, |last| last.saturating_duration_since(sending.began));
    EndToEnd {
        rows: seen.rows,
        seconds: seconds(took),
        drain_seconds: seconds(took.saturating_sub(sending.took)),
        rows_per_second: per(seen.rows, seconds(took)),
        left: seen.left,
    }
}
