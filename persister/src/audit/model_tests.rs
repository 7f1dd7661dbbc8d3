//! The audit against a small model of the flow: streams, stages that may be killed before they acknowledge, tables, and
//! somebody who throws things away. Whatever the order, it never calls missing what may still come, and it always finds
//! what was thrown away.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proto::subject::SourceName;
use proto::{Channel, Millis};
use uuid::Uuid;

use super::course::{CHANNELS, Course, Snapshot, Span};
use super::endings::{Ended, Ending, Endings};
use super::judge::{Known, Verdict, judge};
use super::request::Request;
use crate::retention::kept::Kept;

/// A request's number and the places of its records that a message carries; one in all streams but `RAW`.
#[derive(Clone, Copy, Debug)]
struct Record {
    request: usize,
    part: u32,
}

#[derive(Clone, Debug)]
struct Stream<T> {
    messages: Vec<(T, bool)>,
    first: u64,
}

impl<T> Default for Stream<T> {
    fn default() -> Self {
        Self { messages: Vec::new(), first: 1 }
    }
}

impl<T: Copy> Stream<T> {
    fn publish(&mut self, message: T) {
        self.messages.push((message, false));
    }

    /// One that is not acknowledged, whichever `choice` says.
    fn pick(&self, choice: usize) -> Option<(usize, T)> {
        let open: Vec<usize> = (0..self.messages.len()).filter(|place| !self.messages[*place].1).collect();
        let place = *open.get(choice % open.len().max(1))?;
        Some((place, self.messages[place].0))
    }

    fn acknowledge(&mut self, place: usize) {
        self.messages[place].1 = true;
    }

    fn floor(&self) -> u64 {
        self.messages.iter().take_while(|(_, acknowledged)| *acknowledged).count() as u64
    }

    /// As trimming does.
    fn trim(&mut self) {
        self.first = self.floor() + 1;
    }

    fn span(&self) -> Span {
        Span { first: self.first, last: self.messages.len() as u64 }
    }

    fn open(&self) -> impl Iterator<Item = T> {
        self.messages.iter().filter(|(_, acknowledged)| !acknowledged).map(|(message, _)| *message)
    }
}

#[derive(Clone, Debug, Default)]
struct Model {
    /// By channel: numbers of requests. Each channel has its own sequences here.
    raw: [Stream<usize>; CHANNELS],
    canonical: Stream<Record>,
    unique: Stream<Record>,
    duplicates: Stream<Record>,
    dlq: Stream<Record>,
    /// How many records each request has.
    parts: Vec<u32>,
    channels: Vec<(usize, u64)>,
    tables: BTreeMap<usize, Vec<Ended>>,
    floors: Option<Snapshot>,
    course: Course,
}

/// Something that happens. `choice` says to which message, `how` with which outcome.
#[derive(Clone, Copy, Debug)]
struct Step {
    what: u8,
    choice: usize,
    how: u8,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (0..14_u8, any::<usize>(), 0..8_u8);
    proptest::collection::vec(step.prop_map(|(what, choice, how)| Step { what, choice, how }), 0..400)
}

impl Model {
    fn accept(&mut self, channel: usize, parts: u32) {
        self.raw[channel].publish(self.parts.len());
        self.channels.push((channel, self.raw[channel].messages.len() as u64));
        self.parts.push(parts);
    }

    /// A stage killed before it acknowledges has published.
    fn normalize(&mut self, channel: usize, choice: usize, how: u8) {
        let Some((place, request)) = self.raw[channel].pick(choice) else { return };
        for part in 0..self.parts[request] {
            let record = Record { request, part };
            if how == 1 && part == 0 { self.dlq.publish(record) } else { self.canonical.publish(record) }
        }
        if how != 0 {
            self.raw[channel].acknowledge(place);
        }
    }

    fn deduplicate(&mut self, choice: usize, how: u8) {
        let Some((place, record)) = self.canonical.pick(choice) else { return };
        match how {
            1 | 2 => self.duplicates.publish(record),
            3 => self.dlq.publish(record),
            _ => self.unique.publish(record),
        }
        if how != 0 {
            self.canonical.acknowledge(place);
        }
    }

    fn persist(&mut self, repeats: bool, choice: usize, how: u8) {
        let stream = if repeats { &mut self.duplicates } else { &mut self.unique };
        let Some((place, record)) = stream.pick(choice) else { return };
        if how == 1 {
            self.dlq.publish(record);
        } else {
            let parts = Some(self.parts[record.request]).filter(|_| !repeats);
            let ending = if repeats { Ending::Repeat } else { Ending::Message };
            let ended = Ended { part: record.part, parts, superseded: false, ending };
            self.tables.entry(record.request).or_default().push(ended);
        }
        let stream = if repeats { &mut self.duplicates } else { &mut self.unique };
        if how != 0 {
            stream.acknowledge(place);
        }
    }

    fn record(&mut self, choice: usize, how: u8) {
        let Some((place, record)) = self.dlq.pick(choice) else { return };
        let ended = Ended { part: record.part, parts: None, superseded: false, ending: Ending::DeadLetter };
        self.tables.entry(record.request).or_default().push(ended);
        if how != 0 {
            self.dlq.acknowledge(place);
        }
    }

    /// Acknowledged, and nothing came of it.
    fn throw_away(&mut self, choice: usize, how: u8) {
        match how {
            0 | 1 => {
                let raw = &mut self.raw[choice % CHANNELS];
                if let Some((place, _)) = raw.pick(choice) {
                    raw.acknowledge(place);
                }
            }
            how => {
                let streams = [&mut self.canonical, &mut self.unique, &mut self.duplicates, &mut self.dlq];
                let stream = streams.into_iter().nth(usize::from(how) % 4).unwrap();
                if let Some((place, _)) = stream.pick(choice) {
                    stream.acknowledge(place);
                }
            }
        }
    }

    /// What consumers say.
    fn look_at_consumers(&mut self) {
        let mut normalized = [0; CHANNELS];
        for (floor, raw) in normalized.iter_mut().zip(&self.raw) {
            *floor = raw.floor();
        }
        self.floors = Some(Snapshot {
            normalized,
            deduplicated: self.canonical.floor(),
            persisted: self.unique.floor(),
            judged: self.duplicates.floor(),
            recorded: self.dlq.floor(),
            ..Snapshot::default()
        });
    }

    /// What streams say, later.
    fn look_at_streams(&mut self) {
        if let Some(floors) = self.floors.take() {
            self.course.observe(&Snapshot {
                canonical: self.canonical.span(),
                unique: self.unique.span(),
                duplicates: self.duplicates.span(),
                dlq: self.dlq.span(),
                ..floors
            });
        }
    }

    fn endings(&self, request: usize) -> Endings {
        let mut endings = Endings::default();
        self.tables.get(&request).into_iter().flatten().for_each(|ended| endings.add(*ended));
        endings
    }

    fn verdict(&self, request: usize) -> Verdict {
        let (channel, sequence) = self.channels[request];
        let named = Request {
            sequence,
            channel: Channel::ALL[channel],
            source: SourceName::parse("s").unwrap(),
            id: Uuid::from_u128(request as u128),
            received_at: Millis::EPOCH,
        };
        judge(
            &named,
            &self.endings(request),
            &Known { course: &self.course, last_replay: 0, kept: &Kept::default(), now: None },
        )
    }

    /// Whether something of a request is in a stream and will be worked on.
    fn is_on_its_way(&self, request: usize) -> bool {
        self.raw.iter().flat_map(Stream::open).any(|open| open == request)
            || [&self.canonical, &self.unique, &self.duplicates, &self.dlq]
                .into_iter()
                .flat_map(Stream::open)
                .any(|record| record.request == request)
    }

    fn take(&mut self, step: Step) {
        let Step { what, choice, how } = step;
        match what {
            0 | 1 => self.accept(choice % CHANNELS, u32::from(how % 3) + 1),
            2 | 3 => self.normalize(choice / 7 % CHANNELS, choice, how),
            4 | 5 => self.deduplicate(choice, how),
            6 => self.persist(false, choice, how),
            7 => self.persist(true, choice, how),
            8 => self.record(choice, how),
            9 => self.throw_away(choice, how),
            10 => self.look_at_consumers(),
            11 => self.look_at_streams(),
            12 => [&mut self.canonical, &mut self.unique, &mut self.duplicates].into_iter().for_each(Stream::trim),
            _ => {
                self.look_at_consumers();
                self.look_at_streams();
            }
        }
    }

    /// Everything is worked off.
    fn drain(&mut self) {
        while (0..CHANNELS).any(|channel| self.raw[channel].pick(0).is_some()) {
            (0..CHANNELS).for_each(|channel| self.normalize(channel, 0, 7));
        }
        while self.canonical.pick(0).is_some() {
            self.deduplicate(0, 7);
        }
        while self.unique.pick(0).is_some() {
            self.persist(false, 0, 7);
        }
        while self.duplicates.pick(0).is_some() {
            self.persist(true, 0, 7);
        }
        while self.dlq.pick(0).is_some() {
            self.record(0, 7);
        }
        (0..20).for_each(|_| self.take(Step { what: 13, choice: 0, how: 0 }));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn what_may_still_come_is_never_called_missing_and_what_was_thrown_away_always_is(steps in steps()) {
        let mut model = Model::default();
        for step in steps {
            model.take(step);
            for request in 0..model.parts.len() {
                if model.verdict(request) == Verdict::Missing {
                    prop_assert!(!model.is_on_its_way(request), "{request} is on its way: {model:#?}");
                }
            }
        }
        model.drain();
        for request in 0..model.parts.len() {
            let endings = model.endings(request);
            let ended: BTreeSet<u32> = model.tables.get(&request).into_iter().flatten().map(|ended| ended.part).collect();
            let all = ended.len() == model.parts[request] as usize;
            let verdict = model.verdict(request);
            let a_row_tells = model.tables.get(&request).into_iter().flatten().any(|ended| ended.parts.is_some());
            if all {
                prop_assert_eq!(verdict, Verdict::Accounted);
            } else if a_row_tells || endings.are_none() {
                prop_assert_eq!(verdict, Verdict::Missing, "{}: {:#?}", request, model);
            }
        }
    }
}
