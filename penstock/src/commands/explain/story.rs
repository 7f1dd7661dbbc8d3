//! What became of something, told in order. Pure: what was found goes in, sentences come out.

use std::collections::BTreeMap;

use persister::{Ending, Found};
use proto::kind::Class;
use serde::Serialize;
use uuid::Uuid;

use super::trace::{Progress, Request, Trace, Waiting};
use crate::commands::out;

/// Everything that was found of an id.
#[derive(Debug, Default)]
pub(crate) struct Evidence {
    /// The endings in the database, oldest first.
    pub(crate) found: Vec<Found>,
    /// The rows that the repeats among them repeat.
    pub(crate) originals: BTreeMap<Uuid, Found>,
    /// The requests, where `RAW` still has them.
    pub(crate) requests: Vec<Request>,
    /// What the streams tell, where the database tells nothing.
    pub(crate) trace: Trace,
    /// The records of the request that have no ending in the database, where others of it have one.
    pub(crate) missing: Vec<Missing>,
    /// How many more of those there are.
    pub(crate) left_out: usize,
    /// How long keys hold, by source and policy, where the configuration is known.
    pub(crate) windows: BTreeMap<(String, String), String>,
}

/// A record that has no ending in the database.
#[derive(Debug)]
pub(crate) struct Missing {
    pub(crate) part: u32,
    pub(crate) id: Uuid,
    pub(crate) trace: Trace,
}

/// What became of something.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Story {
    /// Its outcome in a word, for programs: `row`, `duplicate`, `dropped`, `dead_letter`, `held`, `waiting`,
    /// `unknown`; of several records the one to look at first.
    pub(crate) outcome: &'static str,
    /// Each record with its ending, for programs.
    pub(crate) records: Vec<Fact>,
    pub(crate) chapters: Vec<Chapter>,
}

/// A record and its ending.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Fact {
    pub(crate) id: Uuid,
    pub(crate) request_id: Uuid,
    pub(crate) part: i32,
    pub(crate) received_at: String,
    pub(crate) channel: String,
    pub(crate) source: String,
    /// As [`Story::outcome`].
    pub(crate) outcome: &'static str,
    /// Where its row is.
    pub(crate) table: Option<&'static str>,
    /// What it repeats.
    pub(crate) original_id: Option<Uuid>,
    /// Why it was given up on.
    pub(crate) reason: Option<String>,
}

/// A request or a record.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Chapter {
    pub(crate) title: String,
    pub(crate) events: Vec<Event>,
    /// What to do or where to look.
    pub(crate) next: Vec<String>,
}

/// Something that happened.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Event {
    /// RFC 3339, where it is known.
    pub(crate) at: Option<String>,
    pub(crate) text: String,
}

impl Event {
    fn at(at: impl Into<String>, text: impl Into<String>) -> Self {
        Self { at: Some(at.into()), text: text.into() }
    }

    fn sometime(text: impl Into<String>) -> Self {
        Self { at: None, text: text.into() }
    }
}

/// Tells it.
pub(crate) fn tell(evidence: &Evidence) -> Story {
    let mut chapters: Vec<Chapter> = evidence.requests.iter().map(|request| of_request(request, "accepted")).collect();
    let (mut outcome, mut records) = ("unknown", Vec::new());
    for found in &evidence.found {
        let (word, chapter) = of_record(found, evidence);
        outcome = worse(outcome, word);
        records.push(fact(found, word));
        chapters.push(chapter);
    }
    if evidence.found.is_empty() {
        chapters.extend(evidence.trace.request.as_ref().map(|request| of_request(request, "accepted")));
        outcome = of_trace(&evidence.trace, "on its way", &mut chapters);
    }
    for missing in &evidence.missing {
        let title = format!("record {} (part {})", missing.id, missing.part);
        outcome = worse(outcome, of_missing(&missing.trace, title, &mut chapters));
    }
    if evidence.left_out > 0 {
        let others = out::several(evidence.left_out, "record", "records");
        let event = Event::sometime(format!("{others} of this request more without an ending: not looked for"));
        chapters.push(Chapter { title: "and others".to_owned(), events: vec![event], next: Vec::new() });
        outcome = worse(outcome, "waiting");
    }
    Story { outcome, records, chapters }
}

fn fact(found: &Found, outcome: &'static str) -> Fact {
    let (table, original_id, reason) = match &found.ending {
        Ending::Row { table, .. } => (Some(table_name(*table)), None, None),
        Ending::Duplicate { original_id, .. } => (Some("duplicates"), Some(*original_id), None),
        Ending::DeadLetter { reason, .. } => (Some("dead_letters"), None, Some(reason.clone())),
    };
    Fact {
        id: found.id,
        request_id: found.request_id,
        part: found.part,
        received_at: time(found.received_at),
        channel: found.channel.clone(),
        source: found.source.clone(),
        outcome,
        table,
        original_id,
        reason,
    }
}

/// The one that somebody has to look at.
fn worse(one: &'static str, other: &'static str) -> &'static str {
    const ORDER: [&str; 7] = ["unknown", "row", "duplicate", "dropped", "held", "waiting", "dead_letter"];
    let rank = |word| ORDER.iter().position(|known| *known == word).unwrap_or(0);
    if rank(other) > rank(one) { other } else { one }
}

fn of_request(request: &Request, how: &str) -> Chapter {
    let what = format!("{} ({}, verified: {})", request.line, request.provider, request.verified);
    Chapter {
        title: format!("request {}", request.id),
        events: vec![
            Event::at(&request.received_at, format!("came in: {what}")),
            Event::at(&request.stored_at, format!("{how}: stored as {}", request.place)),
        ],
        next: Vec::new(),
    }
}

fn of_record(found: &Found, evidence: &Evidence) -> (&'static str, Chapter) {
    let mut events = Vec::new();
    if !evidence.requests.iter().any(|request| request.id == found.request_id) {
        let source = format!("{}/{}", found.channel, found.source);
        events.push(Event::at(time(found.received_at), format!("came in at {source}, request {}", found.request_id)));
    }
    let stored_at = time(found.stored_at);
    let (outcome, next) = match &found.ending {
        Ending::Row { table, kind, updated_at, superseded_at } => {
            let table = table_name(*table);
            events.push(Event::at(stored_at, format!("stored as a row of {table} ({kind})")));
            if let Some(at) = updated_at {
                events.push(Event::at(time(*at), "corrected by a replay"));
            }
            if let Some(at) = superseded_at {
                events.push(Event::at(time(*at), "superseded: today's reading of the request no longer yields it"));
            }
            ("row", vec![select(table, found)])
        }
        Ending::Duplicate { original_id, verdict, policy } => {
            events.push(Event::at(stored_at, repeat(found, *original_id, verdict, policy, evidence)));
            let next = evidence.originals.get(original_id).and_then(|original| match original.ending {
                Ending::Row { table, .. } => Some(select(table_name(table), original)),
                _ => None,
            });
            ("duplicate", next.into_iter().collect())
        }
        Ending::DeadLetter { stage, reason, detail, closed_at, closed_by } => {
            events.push(Event::at(stored_at, format!("the {stage} gave up on it: {reason}: {detail}")));
            match closed_at {
                Some(at) => {
                    let by = closed_by.as_deref().unwrap_or("somebody");
                    events.push(Event::at(time(*at), format!("closed ({by})")));
                    let outcome = match by {
                        "row" => "row",
                        "duplicate" => "duplicate",
                        _ => "dropped",
                    };
                    (outcome, Vec::new())
                }
                None => ("dead_letter", after_dead_letter(found.id, stage, reason)),
            }
        }
    };
    (outcome, Chapter { title: format!("record {} (part {})", found.id, found.part), events, next })
}

fn repeat(found: &Found, original_id: Uuid, verdict: &str, policy: &str, evidence: &Evidence) -> String {
    let same = match policy {
        "content" => "the same content",
        "off" => "the same id of ours",
        _ => "the same id of the provider's",
    };
    let window = evidence.windows.get(&(found.source.clone(), policy.to_owned()));
    let window = window.map_or_else(String::new, |window| format!(" within {window}"));
    let original = evidence.originals.get(&original_id).map_or_else(String::new, |original| {
        let seconds = (found.received_at - original.received_at).as_seconds_f64();
        let how = if seconds < 0.0 { "later" } else { "before" };
        format!(", which came in {} {how}", out::age(seconds.abs()))
    });
    let erased = if verdict == "erased" { "; that one was erased, and this stays erased with it" } else { "" };
    format!("not stored: a repeat of {original_id}{original} (policy {policy}: {same}{window}){erased}")
}

fn after_dead_letter(id: Uuid, stage: &str, reason: &str) -> Vec<String> {
    let show = format!("penstock dlq show {id}      what was sent with it");
    let give_up = format!("penstock dlq drop {id}      give up on it for good");
    if reason == "no_envelope" {
        // It was never one of our messages: no stage can do anything with it.
        return vec![show, give_up];
    }
    let mend = match stage {
        "normalizer" => "once the cause is mended (another version, another setting of the source)",
        "persister" => "once the database takes it",
        _ => "once the cause is mended",
    };
    vec![show, format!("penstock dlq replay {id}    try again, {mend}"), give_up]
}

/// A record that has no ending, of a request that has others.
fn of_missing(trace: &Trace, title: String, chapters: &mut Vec<Chapter>) -> &'static str {
    match of_trace(trace, &title, chapters) {
        "unknown" => {
            let event = Event::sometime("has no ending, and no stream holds it any more");
            let next = vec![
                "ask again in a second: it may have ended meanwhile".to_owned(),
                "penstock replay --help    has its request read again, while RAW holds it".to_owned(),
            ];
            chapters.push(Chapter { title, events: vec![event], next });
            "waiting"
        }
        outcome => outcome,
    }
}

/// What the streams tell of something without an ending; `title` is that of its chapter where it is on its way.
fn of_trace(trace: &Trace, title: &str, chapters: &mut Vec<Chapter>) -> &'static str {
    if let Some(dead) = &trace.dead {
        let text = format!("the {} gave up on it: {}: {}", dead.stage, dead.reason, dead.detail);
        let unrecorded = "the persister has not recorded that yet";
        chapters.push(Chapter {
            title: format!("record {}", dead.record),
            events: vec![Event::at(&dead.since, text), Event::sometime(unrecorded)],
            next: after_dead_letter(dead.record, &dead.stage, &dead.reason),
        });
        return "dead_letter";
    }
    if let (Some(held), None) = (&trace.held, &trace.request) {
        let mut chapter = of_request(held, "held, because its signature was wrong");
        chapter.next = vec![
            format!("penstock held release {}    verify it again, with today's secrets", held.id),
            "penstock held list                 see what else is held".to_owned(),
        ];
        chapters.push(chapter);
        return "held";
    }
    match &trace.waiting {
        Some(waiting) => {
            let (text, next) = of_waiting(waiting);
            let event = Event::at(&waiting.since, text);
            chapters.push(Chapter { title: title.to_owned(), events: vec![event], next });
            "waiting"
        }
        None => "unknown",
    }
}

fn of_waiting(waiting: &Waiting) -> (String, Vec<String>) {
    let Waiting { place, stage, progress, .. } = waiting;
    let look = "penstock status    is the stage at work, and what is its last error?".to_owned();
    match progress {
        Progress::Queued { before } => {
            let before = usize::try_from(*before).unwrap_or(usize::MAX);
            (
                format!("as {place}; the {stage} has {} before it", out::several(before, "message", "messages")),
                vec![look],
            )
        }
        Progress::InHand => {
            (format!("as {place}; the {stage} has it in hand, or tries it again and again"), vec![look])
        }
        Progress::Passed => {
            let text = format!("as {place}; the {stage} is done with it, and its row is not there (yet)");
            (text, vec!["ask again in a second".to_owned(), look])
        }
    }
}

fn table_name(class: Class) -> &'static str {
    match class {
        Class::Message => "messages",
        Class::Status => "message_statuses",
    }
}

fn select(table: &str, found: &Found) -> String {
    format!("SELECT * FROM {table} WHERE received_at = '{}' AND id = '{}';", time(found.received_at), found.id)
}

fn time(at: chrono::DateTime<chrono::Utc>) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

impl Story {
    /// As a person reads it.
    pub(crate) fn rendered(&self) -> String {
        let mut lines = Vec::new();
        for chapter in &self.chapters {
            lines.push(out::strong(&out::shown(&chapter.title)));
            for event in &chapter.events {
                let at = event.at.as_deref().unwrap_or("");
                lines.push(format!("  {at:24}  {}", out::shown(&event.text)));
            }
            lines.extend(chapter.next.iter().map(|next| format!("    → {next}")));
        }
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(id: u128, second: u32, ending: Ending) -> Found {
        let at = |second| format!("2026-11-23T05:53:{second:02}Z").parse().unwrap();
        Found {
            id: Uuid::from_u128(id),
            request_id: Uuid::from_u128(100 + id),
            part: 0,
            received_at: at(second),
            channel: "sms".into(),
            source: "support".into(),
            stored_at: at(second + 1),
            ending,
        }
    }

    fn row() -> Ending {
        Ending::Row { table: Class::Message, kind: "message".into(), updated_at: None, superseded_at: None }
    }

    fn told(evidence: &Evidence) -> (&'static str, String) {
        let story = tell(evidence);
        (story.outcome, story.rendered())
    }

    #[test]
    fn a_row_is_told_with_the_query_that_shows_it() {
        let (outcome, text) = told(&Evidence { found: vec![found(1, 10, row())], ..Evidence::default() });
        assert_eq!(outcome, "row");
        assert!(text.contains("stored as a row of messages (message)"), "{text}");
        assert!(text.contains("WHERE received_at = '2026-11-23T05:53:10.000Z' AND id = '00000000"), "{text}");
    }

    #[test]
    fn a_repeat_is_told_with_what_it_repeats_and_why() {
        let duplicate =
            Ending::Duplicate { original_id: Uuid::from_u128(1), verdict: "repeat".into(), policy: "auto".into() };
        let evidence = Evidence {
            found: vec![found(2, 30, duplicate)],
            originals: BTreeMap::from([(Uuid::from_u128(1), found(1, 10, row()))]),
            windows: BTreeMap::from([(("support".into(), "auto".into()), "8 days".into())]),
            ..Evidence::default()
        };
        let (outcome, text) = told(&evidence);
        assert_eq!(outcome, "duplicate");
        assert!(
            text.contains("which came in 20.0s before (policy auto: the same id of the provider's within 8 days)"),
            "{text}"
        );
        assert!(text.contains("SELECT * FROM messages"), "{text}");
    }

    #[test]
    fn a_dead_letter_is_told_with_what_can_be_done() {
        let dead = |closed_at: Option<&str>| Ending::DeadLetter {
            stage: "normalizer".into(),
            reason: "not_json".into(),
            detail: "the body is no JSON".into(),
            closed_at: closed_at.map(|at| at.parse().unwrap()),
            closed_by: closed_at.map(|_| "row".into()),
        };
        let open = Evidence { found: vec![found(1, 10, row()), found(2, 11, dead(None))], ..Evidence::default() };
        let (outcome, text) = told(&open);
        assert_eq!(outcome, "dead_letter");
        assert!(text.contains("not_json") && text.contains("penstock dlq replay"), "{text}");
        let closed = dead(Some("2026-11-23T06:00:00Z"));
        let (outcome, text) = told(&Evidence { found: vec![found(2, 11, closed)], ..Evidence::default() });
        assert_eq!(outcome, "row");
        assert!(text.contains("closed (row)") && !text.contains("dlq replay"), "{text}");
    }

    fn request(place: &str) -> Request {
        Request {
            id: Uuid::from_u128(1),
            received_at: "2026-11-23T05:53:10.000Z".into(),
            line: "POST /v1/sms/support".into(),
            provider: "twilio".into(),
            verified: "no".into(),
            place: place.into(),
            stored_at: "2026-11-23T05:53:10.002Z".into(),
        }
    }

    #[test]
    fn what_is_still_waiting_says_before_which_stage() {
        let waiting = |progress| {
            let waiting = Waiting { place: "CANONICAL/7".into(), since: "t".into(), stage: "dedup", progress };
            told(&Evidence {
                trace: Trace { request: Some(request("RAW/5")), waiting: Some(waiting), ..Trace::default() },
                ..Evidence::default()
            })
        };
        let (outcome, text) = waiting(Progress::Queued { before: 12 });
        assert_eq!(outcome, "waiting");
        assert!(
            text.contains("RAW/5") && text.contains("as CANONICAL/7; the dedup has 12 messages before it"),
            "{text}"
        );
        assert!(waiting(Progress::InHand).1.contains("in hand"));
        assert!(waiting(Progress::Passed).1.contains("ask again"));
    }

    #[test]
    fn a_record_without_an_ending_is_told_beside_those_that_have_one() {
        let waiting =
            Waiting { place: "UNIQUE/9".into(), since: "t".into(), stage: "persister", progress: Progress::InHand };
        let missing = |waiting| Missing {
            part: 1,
            id: Uuid::from_u128(3),
            trace: Trace { request: Some(request("RAW/5")), waiting, ..Trace::default() },
        };
        let of = |missing, left_out| Evidence {
            found: vec![found(1, 10, row())],
            missing: vec![missing],
            left_out,
            ..Evidence::default()
        };
        let (outcome, text) = told(&of(missing(Some(waiting)), 0));
        assert_eq!(outcome, "waiting");
        assert!(text.contains("stored as a row") && text.contains("(part 1)") && text.contains("UNIQUE/9"), "{text}");
        assert!(!text.contains("RAW/5"), "the request is told once, with the others: {text}");
        let (outcome, text) = told(&of(missing(None), 2));
        assert_eq!(outcome, "waiting");
        assert!(text.contains("no stream holds it") && text.contains("2 records of this request more"), "{text}");
    }

    #[test]
    fn what_is_held_says_how_to_release_it() {
        let trace = Trace { held: Some(request("HELD/2")), ..Trace::default() };
        let (outcome, text) = told(&Evidence { trace, ..Evidence::default() });
        assert_eq!(outcome, "held");
        assert!(text.contains("HELD/2") && text.contains("penstock held release 0000"), "{text}");
    }

    #[test]
    fn of_nothing_nothing_is_told() {
        assert_eq!(told(&Evidence::default()), ("unknown", String::new()));
    }
}
