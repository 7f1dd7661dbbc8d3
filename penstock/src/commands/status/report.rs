//! From two looks to what is shown: rates, and the one thing about each stage that a person should know. Pure.

use comfy_table::Table;
use serde::Serialize;

use super::numbers::Samples;
use super::scrape::Look;
use super::snapshot::{Snapshot, StageLook, StreamLook};
use crate::commands::{clock, out};

/// What is shown, and what `--json` prints.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Report {
    /// Whether every process is ready and the broker answers.
    pub(crate) healthy: bool,
    pub(crate) stages: Vec<StageReport>,
    pub(crate) streams: Vec<StreamReport>,
    /// Why nothing is known from NATS.
    pub(crate) nats_error: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct StageReport {
    pub(crate) stage: &'static str,
    /// Processes that can do their job now, of those there should be.
    pub(crate) ready: usize,
    pub(crate) processes: usize,
    /// Messages a second between the two looks.
    pub(crate) rate: Option<f64>,
    pub(crate) backlog: Option<u64>,
    pub(crate) in_hand: Option<u64>,
    pub(crate) age_seconds: Option<f64>,
    /// What this stage's processes gave up on since they were started.
    pub(crate) dead_letters: u64,
    pub(crate) last_error: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct StreamReport {
    pub(crate) stream: &'static str,
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    pub(crate) max_bytes: u64,
    pub(crate) oldest_seconds: Option<f64>,
}

/// Puts two looks together; without an earlier one there are no rates.
pub(crate) fn of(earlier: Option<&Snapshot>, now: &Snapshot) -> Report {
    let stages: Vec<StageReport> = now
        .stages
        .iter()
        .map(|stage| {
            let before = earlier.and_then(|earlier| earlier.stages.iter().find(|other| other.role == stage.role));
            of_stage(before, stage, earlier.map_or(0.0, |earlier| clock::seconds_between(earlier.at, now.at)), now.at)
        })
        .collect();
    Report {
        healthy: now.broker.is_ok() && stages.iter().all(|stage| stage.processes > 0 && stage.ready == stage.processes),
        stages,
        streams: now.streams.iter().map(of_stream).collect(),
        nats_error: now.broker.clone().err(),
    }
}

fn of_stage(before: Option<&StageLook>, now: &StageLook, seconds: f64, at: i64) -> StageReport {
    let said = || now.processes.iter().filter_map(|look| look.said.as_ref().ok());
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a counter: whole and not negative")]
    let dead_letters = said().map(|said| said.samples.sum("penstock_dead_letters_total", &[])).sum::<f64>() as u64;
    StageReport {
        stage: now.role,
        ready: said().filter(|said| said.health.ready).count(),
        processes: now.processes.len(),
        rate: before.filter(|_| seconds > 0.0).and_then(|before| rate(before, now, seconds)),
        backlog: now.backlog.map(|backlog| backlog.messages),
        in_hand: now.backlog.map(|backlog| backlog.in_hand),
        age_seconds: now.backlog.map(|backlog| backlog.age_seconds),
        dead_letters,
        last_error: last_error(&now.processes, at),
    }
}

/// What a stage has finished with.
fn finished(role: &str, samples: &Samples) -> f64 {
    match role {
        "gateway" => samples.sum("penstock_gateway_requests_total", &[]),
        role => samples.sum(&format!("penstock_{role}_messages_total"), &["outcome=\"retried\""]),
    }
}

/// Over the processes that answered both times. One that was started anew in between counts from zero.
fn rate(before: &StageLook, now: &StageLook, seconds: f64) -> Option<f64> {
    let mut seen = None;
    for look in &now.processes {
        let earlier = before.processes.iter().find(|other| other.url == look.url);
        if let (Ok(said), Some(Ok(earlier))) = (&look.said, earlier.map(|earlier| &earlier.said)) {
            let (now, then) = (finished(now.role, &said.samples), finished(before.role, &earlier.samples));
            *seen.get_or_insert(0.0) += if now >= then { now - then } else { now };
        }
    }
    seen.map(|count: f64| count / seconds)
}

/// The newest complaint of any process, and before it: that one does not answer.
fn last_error(processes: &[Look], at: i64) -> Option<String> {
    if let Some((look, why)) = processes.iter().find_map(|look| look.said.as_ref().err().map(|why| (look, why))) {
        return Some(format!("{}: {why}", look.url));
    }
    let said = processes.iter().filter_map(|look| look.said.as_ref().ok());
    let complaints = said.flat_map(|said| said.health.dependencies.iter().filter(|dependency| !dependency.ok));
    let newest = complaints.max_by_key(|dependency| dependency.told_at)?;
    Some(format!("{}: {} ({})", newest.name, newest.detail, clock::ago(newest.told_at, at)))
}

fn of_stream(stream: &StreamLook) -> StreamReport {
    StreamReport {
        stream: stream.name,
        messages: stream.messages,
        bytes: stream.bytes,
        max_bytes: stream.limit,
        oldest_seconds: stream.oldest,
    }
}

impl Report {
    /// As a person reads it.
    pub(crate) fn rendered(&self, named_by: &str, at: i64) -> String {
        let state = if self.healthy { out::good("everything is ready") } else { out::bad("not everything is ready") };
        let stages = out::rendered(&self.stage_table());
        let streams = match &self.nats_error {
            Some(why) => format!("{} {}", out::bad("NATS:"), out::shown(why)),
            None => out::rendered(&self.stream_table()),
        };
        format!("penstock at {}, as {named_by} says: {state}\n\n{stages}\n\n{streams}\n", clock::text(at))
    }

    fn stage_table(&self) -> Table {
        let mut table = out::table(&["stage", "ready", "rate", "backlog", "in hand", "oldest", "dead", "last error"]);
        for stage in &self.stages {
            let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), out::count);
            let waiting = stage.backlog.is_some_and(|backlog| backlog > 0);
            table.add_row([
                out::cell(stage.stage),
                out::mark(format!("{}/{}", stage.ready, stage.processes), stage.ready == stage.processes),
                out::cell(stage.rate.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.1}/s"))),
                out::cell(number(stage.backlog)),
                out::cell(number(stage.in_hand)),
                out::cell(stage.age_seconds.filter(|_| waiting).map_or_else(|| "-".to_owned(), out::age)),
                out::mark(out::count(stage.dead_letters), stage.dead_letters == 0),
                out::mark(stage.last_error.as_deref().unwrap_or("-"), stage.last_error.is_none()),
            ]);
        }
        table
    }

    fn stream_table(&self) -> Table {
        let mut table = out::table(&["stream", "messages", "size", "full", "oldest"]);
        for stream in &self.streams {
            let full = stream.bytes.saturating_mul(100).checked_div(stream.max_bytes);
            table.add_row([
                out::cell(stream.stream),
                out::cell(out::count(stream.messages)),
                out::cell(out::bytes(stream.bytes)),
                // From 80 % of a limit on the oldest processed ones are trimmed.
                out::mark(
                    full.map_or_else(|| "-".to_owned(), |full| format!("{full} %")),
                    full.is_none_or(|full| full < 80),
                ),
                out::cell(stream.oldest_seconds.map_or_else(|| "-".to_owned(), out::age)),
            ]);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::status::scrape::{DependencySaid, HealthSaid, Said};
    use runtime::backlog::Backlog;

    fn process(url: &str, count: u64, failing: Option<(&str, i64)>) -> Look {
        let dependency = |(detail, told_at): (&str, i64)| DependencySaid {
            name: "nats".into(),
            ok: false,
            detail: detail.into(),
            told_at,
        };
        let health =
            HealthSaid { ready: failing.is_none(), dependencies: failing.into_iter().map(dependency).collect() };
        let samples = format!(
            "penstock_dedup_messages_total{{outcome=\"unique\"}} {count}\npenstock_dedup_messages_total{{outcome=\"retried\"}} 9"
        );
        Look { url: url.into(), said: Ok(Said { health, samples: Samples::parse(&samples) }) }
    }

    fn snapshot(at: i64, processes: Vec<Look>) -> Snapshot {
        let backlog = Some(Backlog { messages: 5, in_hand: 2, age_seconds: 3.0 });
        Snapshot {
            at,
            stages: vec![StageLook { role: "dedup", processes, backlog }],
            streams: Vec::new(),
            broker: Ok(()),
        }
    }

    #[test]
    fn the_rate_is_what_was_finished_between_the_looks_over_all_processes() {
        let earlier = snapshot(1_000, vec![process("a", 10, None), process("b", 100, None)]);
        // b was started anew: what it has is what it did.
        let now = snapshot(3_000, vec![process("a", 30, None), process("b", 4, None), process("c", 7, None)]);
        let report = of(Some(&earlier), &now);
        assert_eq!(report.stages[0].rate, Some(12.0));
        assert_eq!((report.stages[0].ready, report.stages[0].processes), (3, 3));
        assert!(report.healthy);
        assert_eq!(of(None, &now).stages[0].rate, None);
    }

    #[test]
    fn the_newest_complaint_is_shown_and_silence_before_it() {
        let failing = vec![process("a", 0, Some(("old", 1_000))), process("b", 0, Some(("new", 2_000)))];
        let report = of(None, &snapshot(3_000, failing.clone()));
        assert_eq!(report.stages[0].last_error.as_deref(), Some("nats: new (1.0s ago)"));
        assert!(!report.healthy);
        let silent = Look { url: "c".into(), said: Err("not reachable".into()) };
        let report = of(None, &snapshot(3_000, [failing, vec![silent]].concat()));
        assert_eq!(report.stages[0].last_error.as_deref(), Some("c: not reachable"));
    }

    #[test]
    fn what_is_shown_names_stage_and_stream() {
        let mut now = snapshot(3_000, vec![process("a", 0, None)]);
        now.streams.push(StreamLook { name: "RAW", messages: 1234, bytes: 90, limit: 100, oldest: Some(90.0) });
        let text = of(None, &now).rendered("here", 3_000);
        assert!(
            text.contains("dedup") && text.contains("1/1") && text.contains("1,234") && text.contains("90 %"),
            "{text}"
        );
        now.broker = Err("away".into());
        assert!(of(None, &now).rendered("here", 3_000).contains("away"));
    }
}
