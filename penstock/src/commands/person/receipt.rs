//! What was found and what was done with it, place by place. Without an address: a receipt is kept.

use std::collections::{BTreeMap, BTreeSet};

use persister::erasure::tidy::Tidied;
use serde::Serialize;
use uuid::Uuid;

use crate::commands::out;

/// The books of an erasure.
#[derive(Debug, Default, Serialize)]
pub(super) struct Receipt {
    pub(super) dry_run: bool,
    /// By place: a table, a stream, `BODIES` (chunks), `files`.
    pub(super) places: BTreeMap<&'static str, Count>,
    /// Requests of which something has to stay until somebody has looked at it.
    pub(super) kept_requests: BTreeSet<Uuid>,
    /// Files of his rows that were not in the attachment store, as month and BLAKE3.
    pub(super) absent_files: BTreeSet<String>,
    /// Requests of others that came to need a deleted file meanwhile.
    pub(super) replay: BTreeSet<Uuid>,
    /// Whether there may be more of those.
    pub(super) unsure: bool,
    /// Tables written anew.
    pub(super) rewritten: Vec<String>,
    /// Tables whose free space still holds what was erased.
    pub(super) not_rewritten: Vec<String>,
}

/// How many there were, and how many were erased.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Count {
    pub(super) found: u64,
    pub(super) erased: u64,
}

impl Receipt {
    pub(super) fn found(&mut self, place: &'static str, number: u64) {
        self.places.entry(place).or_default().found += number;
    }

    pub(super) fn erased(&mut self, place: &'static str, number: u64) {
        self.places.entry(place).or_default().erased += number;
    }

    pub(super) fn tidied(&mut self, tidied: Tidied) {
        self.rewritten.extend(tidied.rewritten);
        self.not_rewritten.extend(tidied.vacuumed);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.values().all(|count| *count == Count::default())
    }

    /// Whether somebody has to do something.
    pub(super) fn needs_somebody(&self) -> bool {
        !self.kept_requests.is_empty() || !self.absent_files.is_empty() || !self.replay.is_empty() || self.unsure
    }

    pub(super) fn tell(&self, json: bool) {
        if json {
            out::json(self);
            return;
        }
        if self.is_empty() {
            out::line("nothing is kept of him");
        } else {
            out::line(self.table());
        }
        if self.dry_run && !self.is_empty() {
            out::line("nothing was erased");
        }
        for request in &self.kept_requests {
            out::note(format!(
                "somebody else's record of the request {request} waits in DLQ or HELD: the request stays until that is \
                 replayed, released or dropped (`penstock explain {request}`); then run this again"
            ));
        }
        for file in &self.absent_files {
            out::note(format!(
                "a file of his was not in the attachment store: {file}. An earlier run that was interrupted deleted it; \
                 or `attachments.store` is not the one that the normalizer writes to: then delete it there"
            ));
        }
        for request in &self.replay {
            out::note(format!(
                "a file of the request {request} has to be stored again: penstock replay --id {request}"
            ));
        }
        if !self.not_rewritten.is_empty() {
            out::note(format!(
                "too large to be written anew in passing: {}. The rows are gone; their bytes stay in free space of these \
                 tables until it is used again, or until `VACUUM FULL` (or this, with --rewrite) writes them anew",
                self.not_rewritten.join(", ")
            ));
        }
    }

    fn table(&self) -> String {
        let mut table = out::table(&["place", "found", "erased"]);
        for (place, count) in &self.places {
            table.add_row([(*place).to_owned(), out::count(count.found), out::count(count.erased)]);
        }
        out::rendered(&table)
    }
}
