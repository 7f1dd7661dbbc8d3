//! `penstock status`: each stage's processes, rate, backlog, age and last error, and how full the streams are.
//!
//! Rates need two looks, so even a single answer takes as long as `--interval`.

mod admin;
mod numbers;
mod report;
mod scrape;
mod snapshot;

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use clap::Args;
use http::Uri;
use runtime::error_chain::Chain;
use runtime::nats::Nats;
use tokio::time::sleep;

use self::report::Report;
use self::snapshot::Snapshot;
use super::error::{Answer, CommandError, Ending};
use super::out;
use super::site::{Site, Where};
use crate::up::Role;

/// What `penstock status` is told.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    place: Where,
    /// Where a role's processes are, in the place of what the configuration says; can be given several times. A name
    /// with several addresses is all of them
    #[arg(long, value_name = "ROLE=URL", value_parser = admin::parse)]
    admin: Vec<(Role, Uri)>,
    /// Look again and again, until Ctrl-C
    #[arg(long)]
    watch: bool,
    /// The time between two looks, which rates are taken over
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    interval: Duration,
    /// Print JSON; with --watch one line a look
    #[arg(long)]
    json: bool,
}

fn interval(text: &str) -> Result<Duration, String> {
    let allowed = Duration::from_millis(100)..=Duration::from_hours(1);
    humantime::parse_duration(text)
        .ok()
        .filter(|interval| allowed.contains(interval))
        .ok_or_else(|| "from 100ms to 1h, like 2s".to_owned())
}

pub(crate) async fn run(args: StatusArgs) -> Answer {
    let mut site = args.place.site()?;
    site.admin = admin::resolved(site.admin, &args.admin).await;
    let mut nats = connect(&site).await;
    let first = snapshot::take(&site.admin, &nats).await;
    if args.watch {
        return watch(&args, &site, nats, first).await;
    }
    sleep(args.interval).await;
    if nats.is_err() {
        nats = connect(&site).await;
    }
    let now = snapshot::take(&site.admin, &nats).await;
    let report = report::of(Some(&first), &now);
    if args.json {
        out::json(&report);
    } else {
        out::line(report.rendered(&site.named_by, now.at).trim_end());
    }
    if nobody_answers(&report) {
        let next = format!("start it (`penstock up`), or look whether the addresses in {} are right", site.named_by);
        return Err(CommandError::unreachable("nothing of this installation answers", next));
    }
    Ok(Ending::finding_if(!report.healthy))
}

fn nobody_answers(report: &Report) -> bool {
    report.nats_error.is_some() && report.stages.iter().all(|stage| stage.ready == 0)
}

async fn connect(site: &Site) -> Result<Nats, String> {
    site.nats().await.map_err(|error| Chain(&error).to_string())
}

/// Draws until Ctrl-C. On a terminal in a screen of its own, so that what stood there is there again afterwards.
async fn watch(args: &StatusArgs, site: &Site, mut nats: Result<Nats, String>, first: Snapshot) -> Answer {
    let screen = Screen::enter(!args.json && std::io::stdout().is_terminal());
    let mut earlier = first;
    loop {
        tokio::select! {
            stopped = tokio::signal::ctrl_c() => {
                drop(screen);
                return match stopped {
                    Ok(()) => Ok(Ending::Clean),
                    Err(error) => Err(CommandError::unreachable("cannot listen to Ctrl-C", "use it without --watch").because(error)),
                };
            }
            () = sleep(args.interval) => {}
        }
        if nats.is_err() {
            nats = connect(site).await;
        }
        let now = snapshot::take(&site.admin, &nats).await;
        let report = report::of(Some(&earlier), &now);
        if args.json {
            // Made of texts and numbers: it can be written.
            out::line(serde_json::to_string(&report).unwrap_or_default());
        } else {
            screen.draw(&report.rendered(&site.named_by, now.at));
        }
        earlier = now;
    }
}

/// The terminal's other screen; left when this is dropped.
struct Screen {
    terminal: bool,
}

impl Screen {
    fn enter(terminal: bool) -> Self {
        if terminal {
            write!(std::io::stdout(), "\x1b[?1049h\x1b[?25l").ok();
        }
        Self { terminal }
    }

    fn draw(&self, text: &str) {
        if !self.terminal {
            out::line(text);
            return;
        }
        // Home, then each line with what was right of it taken away, then everything below: nothing flickers.
        let lines = text.replace('\n', "\x1b[K\n");
        let mut stdout = std::io::stdout();
        write!(stdout, "\x1b[H{lines}\x1b[J  Ctrl-C ends this").ok();
        stdout.flush().ok();
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.terminal {
            write!(std::io::stdout(), "\x1b[?25h\x1b[?1049l").ok();
            std::io::stdout().flush().ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_that_would_never_look_again_is_refused() {
        assert!(interval("2s").is_ok());
        assert!(interval("0s").is_err() && interval("2d").is_err() && interval("x").is_err());
    }
}
