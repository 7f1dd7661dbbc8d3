//! The figures, as a table for people and as JSON for programs. Pure.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::ledger::{Fault, Ledger};
use super::machine::Machine;
use super::message::Run;
use super::resources::Usage;
use crate::commands::out;

/// Everything that was measured.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) run: String,
    pub(crate) machine: Machine,
    pub(crate) nats: String,
    pub(crate) postgres: String,
    pub(crate) setup: Setup,
    pub(crate) load: Load,
    /// From POST to answer; only answers with 2xx.
    pub(crate) accept: Latency,
    /// From POST to row visible.
    pub(crate) visible: Latency,
    /// Between two looks for rows: the most by which `visible` is too long.
    pub(crate) looks: Latency,
    pub(crate) end_to_end: EndToEnd,
    pub(crate) resources: Vec<Resource>,
    pub(crate) floors: Option<Floors>,
    pub(crate) ledger: Option<Ledger>,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Setup {
    pub(crate) source: String,
    pub(crate) provider: String,
    /// `None`: flat out.
    pub(crate) rate: Option<f64>,
    pub(crate) connections: u32,
    pub(crate) seconds: f64,
    pub(crate) duplicates: f64,
    pub(crate) bytes: usize,
}

/// What was sent, without the warm-up.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Load {
    pub(crate) requests: u64,
    pub(crate) accepted: u64,
    pub(crate) refused: u64,
    pub(crate) unanswered: u64,
    /// From the first request to the last answer.
    pub(crate) seconds: f64,
}

/// In milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Latency {
    pub(crate) count: u64,
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

/// From the first request until the last ending was visible.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct EndToEnd {
    pub(crate) rows: u64,
    pub(crate) seconds: f64,
    /// Of those, after the last answer.
    pub(crate) drain_seconds: f64,
    pub(crate) rows_per_second: f64,
    /// Accepted, and no ending was visible when the time for it was up.
    pub(crate) left: usize,
}

/// What a role or server used between the first request and the last ending.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Resource {
    pub(crate) name: String,
    pub(crate) cpu_seconds: f64,
    pub(crate) cpu_seconds_per_100k: f64,
    /// Since the process began.
    pub(crate) peak_bytes: u64,
}

/// Requests and messages a second.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Floors {
    pub(crate) http_per_second: f64,
    pub(crate) http: Latency,
    pub(crate) nats_per_second: f64,
}

impl Load {
    fn per_second(&self) -> f64 {
        per(self.requests, self.seconds)
    }
}

impl Latency {
    /// Of a histogram of microseconds.
    pub(crate) fn of(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| millis(histogram.value_at_quantile(quantile));
        let count = histogram.len();
        if count == 0 {
            return Self::default();
        }
        Self { count, p50: at(0.5), p90: at(0.9), p99: at(0.99), max: millis(histogram.max()) }
    }
}

/// So many in so much time.
pub(crate) fn per(count: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { float(count) / seconds } else { 0.0 }
}

#[expect(clippy::cast_precision_loss, reason = "counts of a benchmark stay far below 2^53")]
fn float(count: u64) -> f64 {
    count as f64
}

fn millis(micros: u64) -> f64 {
    float(micros) / 1000.0
}

/// What each used between two samples. Whoever was not there both times has no figure.
pub(crate) fn used(
    before: &[(String, Option<Usage>)],
    after: &[(String, Option<Usage>)],
    messages: u64,
) -> Vec<Resource> {
    let both = before.iter().zip(after).filter_map(|((name, before), (_, after))| Some((name, (*before)?, (*after)?)));
    let mut all: Vec<Resource> = both
        .map(|(name, before, after)| {
            let cpu = after.cpu.saturating_sub(before.cpu).as_secs_f64();
            Resource {
                name: name.clone(),
                cpu_seconds: cpu,
                cpu_seconds_per_100k: per(100_000, float(messages)) * cpu,
                peak_bytes: after.memory,
            }
        })
        .collect();
    let sum = |value: fn(&Resource) -> f64| all.iter().map(value).sum();
    let (cpu_seconds, cpu_seconds_per_100k) = (sum(|r| r.cpu_seconds), sum(|r| r.cpu_seconds_per_100k));
    let peak_bytes = all.iter().map(|resource| resource.peak_bytes).sum();
    if all.len() > 1 {
        all.push(Resource { name: "together".to_owned(), cpu_seconds, cpu_seconds_per_100k, peak_bytes });
    }
    all
}

impl Report {
    /// What the requests were sent with, and what came of them.
    pub(crate) fn text(&self, run: Run, faults_shown: usize) -> String {
        let mut parts = vec![self.head(), self.latencies(), self.flow()];
        if !self.resources.is_empty() {
            parts.push(self.use_of_resources());
        }
        parts.extend(self.floors.as_ref().map(|floors| self.beside(floors)));
        parts.extend(self.ledger.as_ref().map(|ledger| account(ledger, run, faults_shown)));
        parts.join("\n\n")
    }

    fn head(&self) -> String {
        let (setup, load) = (&self.setup, &self.load);
        let pace = setup.rate.map_or_else(|| "flat out".to_owned(), |rate| format!("{rate}/s"));
        let machine = &self.machine;
        let memory = machine.memory.map(|bytes| format!(", {}", out::bytes(bytes))).unwrap_or_default();
        let refused = if load.refused > 0 { format!(", {} refused", out::count(load.refused)) } else { String::new() };
        let unanswered =
            if load.unanswered > 0 { format!(", {} not answered", out::count(load.unanswered)) } else { String::new() };
        format!(
            "{} cores ({}){memory}, {}; NATS {}, PostgreSQL {}\n\
             {} to {} ({}), {} bytes, {} connections, {:.0}% repeats, {:.0} s\n\n\
             {} requests in {:.1} s: {} requests/s; {} accepted{refused}{unanswered}",
            machine.cores,
            machine.processor,
            machine.system,
            self.nats,
            self.postgres,
            pace,
            setup.source,
            setup.provider,
            out::count(setup.bytes as u64),
            setup.connections,
            setup.duplicates * 100.0,
            setup.seconds,
            out::count(load.requests),
            load.seconds,
            rate(load.per_second()),
            out::count(load.accepted),
        )
    }

    fn latencies(&self) -> String {
        let mut table = out::table(&["ms", "p50", "p90", "p99", "max", "count"]);
        for (name, latency) in
            [("POST to answer", &self.accept), ("POST to row visible", &self.visible), ("(between looks)", &self.looks)]
        {
            let figures = [latency.p50, latency.p90, latency.p99, latency.max].map(|value| format!("{value:.2}"));
            table.add_row([vec![name.to_owned()], figures.to_vec(), vec![out::count(latency.count)]].concat());
        }
        out::rendered(&table)
    }

    fn flow(&self) -> String {
        let flow = &self.end_to_end;
        let left = if flow.left > 0 {
            format!("\n{} accepted requests had no ending when the time was up", out::count(flow.left as u64))
        } else {
            String::new()
        };
        format!(
            "{} rows in {:.1} s, {:.1} s of them after the last answer: {} messages/s end to end{left}",
            out::count(flow.rows),
            flow.seconds,
            flow.drain_seconds,
            rate(flow.rows_per_second),
        )
    }

    fn use_of_resources(&self) -> String {
        let mut table = out::table(&["process", "cpu s", "cpu s/100k requests", "peak memory"]);
        for resource in &self.resources {
            table.add_row([
                resource.name.clone(),
                format!("{:.2}", resource.cpu_seconds),
                format!("{:.2}", resource.cpu_seconds_per_100k),
                out::bytes(resource.peak_bytes),
            ]);
        }
        out::rendered(&table)
    }

    fn beside(&self, floors: &Floors) -> String {
        let mut table = out::table(&["floor, same run", "per second", "end to end is"]);
        let share = |floor: f64| match self.setup.rate {
            None if floor > 0.0 => format!("{:.1}% of it", self.end_to_end.rows_per_second / floor * 100.0),
            // At a rate the flow is as fast as it is asked to be.
            _ => String::new(),
        };
        for (name, floor) in [
            ("hyper answering an empty 200", floors.http_per_second),
            ("async-nats publishing, acks pipelined", floors.nats_per_second),
        ] {
            table.add_row([name.to_owned(), rate(floor), share(floor)]);
        }
        out::rendered(&table)
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate, not negative and not that large")]
fn rate(value: f64) -> String {
    if value < 100.0 { format!("{value:.1}") } else { out::count(value.round() as u64) }
}

fn account(ledger: &Ledger, run: Run, shown: usize) -> String {
    let mut table = out::table(&["ledger (with the warm-up)", "requests"]);
    for (name, count) in [
        ("sent", ledger.sent),
        ("  rows", ledger.rows),
        ("+ repeats", ledger.repeats),
        ("+ dead letters", ledger.dead_letters),
        ("+ held", ledger.held),
        ("+ refused", ledger.refused),
        ("+ not answered, not stored", ledger.unanswered),
        ("= accounted for", ledger.sum()),
    ] {
        table.add_row([name.to_owned(), out::count(count)]);
    }
    let verdict = if ledger.is_exact() {
        let extra = match ledger.stored_without_a_2xx {
            0 => String::new(),
            some => format!(" ({} stored although no 2xx was heard)", out::count(some)),
        };
        format!("exact: {} messages, each with one ending{extra}", out::count(ledger.messages))
    } else {
        format!("NOT exact: {}", out::several(ledger.faults.len(), "fault", "faults"))
    };
    let mut lines = vec![out::rendered(&table), verdict];
    lines.extend(ledger.faults.iter().take(shown).map(|fault| format!("  {}", fault.text(run))));
    if ledger.faults.len() > shown {
        lines.push(format!("  ... and {} more", out::count((ledger.faults.len() - shown) as u64)));
    }
    lines.join("\n")
}

impl Fault {
    /// For a person who will look for it.
    fn text(&self, run: Run) -> String {
        match self {
            Self::NoEnding(message, Some(id)) => format!("missing: {} (Penstock-Id {id})", run.name(*message)),
            Self::NoEnding(message, None) => format!("missing: {} (2xx without a Penstock-Id)", run.name(*message)),
            Self::ManyEndings(message, id) => {
                format!("more than one ending: {} (Penstock-Id {id})", run.name(*message))
            }
            Self::NoRow(message) => format!("no row, only repeats: {}", run.name(*message)),
            Self::ManyRows(message) => format!("more than one row: {}", run.name(*message)),
            Self::Unasked(message, id) => {
                format!("an ending nobody asked for: {} (Penstock-Id {id})", run.name(*message))
            }
        }
    }
}

/// Seconds as a number.
pub(crate) fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::load::{histogram, record};
    use crate::bench::message::Message;

    fn report() -> Report {
        let mut latencies = histogram();
        for millis in 1..=100 {
            record(&mut latencies, Duration::from_millis(millis));
        }
        let usage = |cpu| Some(Usage { cpu: Duration::from_secs(cpu), memory: 50 << 20 });
        let before = [("gateway".to_owned(), usage(1)), ("nats".to_owned(), usage(2)), ("gone".to_owned(), usage(1))];
        let after = [("gateway".to_owned(), usage(2)), ("nats".to_owned(), usage(4)), ("gone".to_owned(), None)];
        Report {
            run: "00000007".to_owned(),
            machine: Machine { cores: 2, processor: "CPU".into(), memory: Some(1 << 30), system: "linux".into() },
            nats: "2.15.1".into(),
            postgres: "15.1".into(),
            setup: Setup {
                source: "orders".into(),
                provider: "standard".into(),
                rate: None,
                connections: 64,
                seconds: 10.0,
                duplicates: 0.3,
                bytes: 1024,
            },
            load: Load { requests: 100_000, accepted: 99_990, refused: 10, unanswered: 0, seconds: 10.0 },
            accept: Latency::of(&latencies),
            visible: Latency::of(&latencies),
            looks: Latency::default(),
            end_to_end: EndToEnd { rows: 70_000, seconds: 14.0, drain_seconds: 4.0, rows_per_second: 5000.0, left: 0 },
            resources: used(&before, &after, 50_000),
            floors: Some(Floors { http_per_second: 50_000.0, http: Latency::default(), nats_per_second: 100_000.0 }),
            ledger: Some(Ledger {
                sent: 2,
                rows: 1,
                missing: 1,
                faults: vec![Fault::NoEnding(Message { connection: 1, number: 2 }, None); 30],
                ..Ledger::default()
            }),
        }
    }

    #[test]
    fn figures_are_those_of_the_histogram() {
        let latency = report().accept;
        let about = |value: f64, expected: f64| (value - expected).abs() < expected / 500.0;
        assert!(about(latency.p50, 50.0) && about(latency.p99, 99.0) && about(latency.max, 100.0), "{latency:?}");
    }

    #[test]
    fn use_is_the_difference_and_who_was_not_there_is_left_out() {
        let resources = report().resources;
        let names: Vec<&str> = resources.iter().map(|resource| resource.name.as_str()).collect();
        assert_eq!(names, ["gateway", "nats", "together"]);
        assert!((resources[1].cpu_seconds_per_100k - 4.0).abs() < 1e-9, "{resources:?}");
        assert!((resources[2].cpu_seconds - 3.0).abs() < 1e-9, "{resources:?}");
    }

    #[test]
    fn the_report_says_what_matters() {
        let text = report().text(Run::fixed(7), 20);
        for expected in [
            "flat out to orders (standard), 1,024 bytes",
            "10,000 requests/s",
            "10 refused",
            "5,000 messages/s end to end",
            "10.0% of it",
            "NOT exact: 30 faults",
            "missing: 00000007-1-2",
            "... and 10 more",
        ] {
            assert!(text.contains(expected), "{expected:?} is missing in\n{text}");
        }
    }

    #[test]
    fn programs_get_numbers() {
        let json = serde_json::to_value(report()).unwrap();
        assert_eq!(json["end_to_end"]["rows_per_second"], 5000.0);
        assert_eq!(json["ledger"]["missing"], 1);
        assert!(json["setup"]["rate"].is_null());
    }
}
