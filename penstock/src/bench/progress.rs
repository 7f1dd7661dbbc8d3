//! What a person sees while it goes on: a bar on a terminal, a line every five seconds otherwise.

use std::convert::Infallible;
use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::{MissedTickBehavior, interval};

use super::load::{Live, Plan};
use super::watching::Progress;
use crate::commands::out;

const TICK: Duration = Duration::from_millis(500);
/// Ticks between two lines where there is no terminal.
const TICKS_PER_LINE: u32 = 10;

/// Tells how it goes until it is dropped; `each` is called twice a second.
pub(crate) async fn tell(
    what: &str,
    plan: Plan,
    live: &Live,
    progress: &Progress,
    mut each: impl FnMut(),
) -> Infallible {
    let bar = std::io::stderr().is_terminal().then(|| bar(plan.duration));
    let began = Instant::now();
    let mut before = [0, 0];
    let mut said = began;
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for tick in 1_u32.. {
        ticks.tick().await;
        each();
        if bar.is_none() && !tick.is_multiple_of(TICKS_PER_LINE) {
            continue;
        }
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let now = [read(&live.answered), read(&progress.rows)];
        let span = said.elapsed().as_millis().max(1);
        let per_second = |index: usize| {
            let more = now.get(index).zip(before.get(index)).map_or(0, |(now, before)| now - before);
            u64::try_from(u128::from(more) * 1000 / span).unwrap_or_default()
        };
        let stage = if progress.all_sent.load(Ordering::Relaxed) { "waiting for the last rows" } else { what };
        let text = format!(
            "{stage}: {} requests/s, {} rows/s; {} accepted, {} rows",
            out::count(per_second(0)),
            out::count(per_second(1)),
            out::count(read(&live.accepted)),
            out::count(now[1])
        );
        (before, said) = (now, Instant::now());
        match &bar {
            Some(bar) => {
                bar.set_position(u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX));
                bar.set_message(text);
            }
            None => out::note(format!("{:4} s  {text}", began.elapsed().as_secs())),
        }
    }
    std::future::pending().await
}

fn bar(duration: Duration) -> ProgressBar {
    let bar = ProgressBar::new(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX));
    let style = ProgressStyle::with_template("{bar:30} {elapsed} {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}
