//! `penstock audit`: whether every request that was accepted has ended, is on its way, or is missing; exactly, on a
//! running system.
//!
//! It reads all of `RAW`, or what is meant of it, and looks each request up in the tables. What has not ended there is
//! followed through the stages, as the persister's own audit does it all the time, until it has ended, or every stage
//! has finished what could have brought it there, or a stage stands still. It changes nothing.

mod ledger;
mod report;

use std::time::Duration;

use clap::Args;
use indicatif::ProgressBar;
use persister::Store;
use persister::audit::course::Course;
use persister::audit::judge::Known;
use persister::audit::request::{Request, is_strangers};
use persister::audit::view;
use persister::retention::kept::Kept;
use runtime::nats::Nats;
use runtime::stream_info::broker_millis;
use runtime::topology::{AUDIT, RAW};
use tokio::time::{Instant, sleep};

use self::ledger::Ledger;
use super::choice::{Choice, ChoiceArgs};
use super::error::{Answer, CommandError, Ending};
use super::out;
use super::site::Where;
use super::stream::{Scan, Stored};

/// What `penstock audit` is told.
#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    choice: ChoiceArgs,
    /// Wait until nothing is in flight any more, so long at most; 1 if something still is then
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = "1h", value_parser = humantime::parse_duration)]
    wait: Option<Duration>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Requests looked up at a time.
const BATCH: usize = 500;
/// Requests without an ending that are followed. More are no question of which.
const MOST: usize = 1_000_000;
/// Between two looks at the stages.
const STEP: Duration = Duration::from_millis(250);
/// A stage that has not come to where it was waited for in this time is left to go on by itself.
const PATIENCE: Duration = Duration::from_secs(10);
/// Passes through the stages after which everything that was accepted before them is judged.
const PASSES: u32 = 2;

pub(crate) async fn run(args: AuditArgs) -> Answer {
    let choice = args.choice.read()?;
    let site = args.place.site()?;
    // Where no configuration is known, nothing is taken for old.
    let kept = site.settings()?.map(|config| Kept::of(&config)).unwrap_or_default();
    let audit = Audit { nats: site.nats().await?, store: site.store().await?, kept };
    let ledger = tokio::select! {
        ledger = audit.all(&choice, args.wait) => ledger?,
        _ = tokio::signal::ctrl_c() => {
            return Err(CommandError::finding("interrupted", "nothing has to be undone: it only looks"));
        }
    };
    report::tell(&ledger, args.json);
    let waited_in_vain = args.wait.is_some() && ledger.total().in_flight() > 0;
    Ok(Ending::finding_if(!ledger.total().is_exact() || waited_in_vain))
}

struct Audit {
    nats: Nats,
    store: Store,
    kept: Kept,
}

impl Audit {
    async fn all(&self, choice: &Choice, wait: Option<Duration>) -> Result<Ledger, CommandError> {
        let mut ledger = self.scan(choice).await?;
        self.follow(&mut ledger, wait).await?;
        Ok(ledger)
    }

    /// Reads `RAW`, and looks everything up once.
    async fn scan(&self, choice: &Choice) -> Result<Ledger, CommandError> {
        let mut subjects = choice.subjects();
        if subjects.is_empty() {
            // Without the gateway's probes.
            subjects.push(AUDIT.filter.to_owned());
        }
        let mut scanner =
            Scan { stream: RAW, subjects, begin: choice.begin(), headers_only: true }.start(&self.nats).await?;
        let bar = out::progress(scanner.total(), "requests");
        let mut ledger = Ledger::default();
        let mut batch: Vec<(Request, Stored)> = Vec::with_capacity(BATCH);
        while let Some(message) = scanner.next().await? {
            bar.inc(1);
            if choice.is_past(message.stored_at) {
                break;
            }
            match Request::read(&message.subject, message.sequence, &message) {
                Some(request) if choice.fits(request.received_at) => batch.push((request, message)),
                Some(_) => {}
                None => ledger.not_ours += 1,
            }
            if batch.len() >= BATCH {
                self.look_up(&mut ledger, &mut batch).await?;
            }
        }
        self.look_up(&mut ledger, &mut batch).await?;
        bar.finish_and_clear();
        Ok(ledger)
    }

    async fn look_up(&self, ledger: &mut Ledger, batch: &mut Vec<(Request, Stored)>) -> Result<(), CommandError> {
        let endings = self.store.endings(batch.iter().map(|(request, _)| (request.id, request.received_at))).await?;
        for (request, message) in batch.drain(..) {
            let ended = endings.get(&request.id).cloned().unwrap_or_default();
            if !ended.are_whole() && is_strangers(&message) {
                ledger.not_ours += 1;
            } else {
                ledger.accept(request, ended);
            }
        }
        if ledger.open() > MOST {
            let what = format!("more than {} requests have no ending yet", out::count(MOST as u64));
            let next = "look at `penstock status` for a stage that stands still; or look at less: --since, --source";
            return Err(CommandError::finding(what, next));
        }
        Ok(())
    }

    /// Follows what has not ended through the stages.
    async fn follow(&self, ledger: &mut Ledger, wait: Option<Duration>) -> Result<(), CommandError> {
        let begun = Instant::now();
        let bar = if wait.is_some() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        let (mut course, mut passes, mut moved_at) = (Course::default(), 0, begun);
        while ledger.open() > 0 {
            let before = course.clone();
            let through = course.observe(&view::snapshot(&self.nats).await?);
            if course != before {
                moved_at = Instant::now();
            }
            passes += u32::from(through);
            let over = match wait {
                Some(wait) => begun.elapsed() >= wait,
                None => passes >= PASSES || moved_at.elapsed() >= PATIENCE,
            };
            if through || over {
                self.judge(ledger, &course).await?;
                let in_flight = ledger.total().in_flight();
                bar.set_message(format!("{} in flight", out::count(in_flight)));
                if over || in_flight == 0 {
                    break;
                }
            }
            bar.tick();
            sleep(STEP).await;
        }
        bar.finish_and_clear();
        Ok(())
    }

    /// Looks everything up again that has not ended, and judges it.
    async fn judge(&self, ledger: &mut Ledger, course: &Course) -> Result<(), CommandError> {
        let requests = ledger.open_requests();
        for some in requests.chunks(BATCH) {
            ledger.see(&self.store.endings(some.iter().copied()).await?);
        }
        // After the tables: what a replay has brought into them was in REPLAY by then.
        let last_replay = view::last_replay(&self.nats).await?;
        let now = self.nats.stream_info(RAW).await?.ts.as_deref().and_then(broker_millis);
        ledger.judge(&Known { course, last_replay, kept: &self.kept, now });
        Ok(())
    }
}
