//! What all readers of one file share: the file, the overrides, what was asked for, what is wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use toml::de::DeValue;

use super::environment::{Environment, Override, PREFIX};
use super::format::Given;
use super::problems::{Place, Problem, Problems};
use super::reader::Reader;

/// A setting as it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Where it stands: `gateway.limits.address.burst`, `sources[].name`.
    pub key: String,
    /// How its value is written: `duration`, `list of texts`.
    pub kind: String,
    /// What it is where it is absent: as one would write it, in words, or `required` or `none`.
    pub default: &'static str,
    /// What is allowed.
    pub range: String,
}

/// What all readers of one file share.
pub(super) struct Reading<'a> {
    pub(super) file: &'a str,
    pub(super) text: &'a str,
    pub(super) env: &'a Environment,
    pub(super) overrides: &'a BTreeMap<&'a str, Override<'a>>,
    pub(super) used: BTreeSet<&'a str>,
    pub(super) settings: Vec<Setting>,
    pub(super) problems: Problems,
}

impl<'a> Reading<'a> {
    /// Reads the whole file, and refuses what nobody asked for.
    pub(super) fn read<T>(&mut self, root: &'a DeValue<'a>, read: impl FnOnce(&mut Reader<'_, 'a>) -> T) -> T {
        let given = Given { value: root, raw: None, variable: None, at: None };
        let value = Reader::new(self, String::new(), Some(given)).finish(read);
        self.refuse_unused_overrides();
        value
    }

    fn refuse_unused_overrides(&mut self) {
        let known: Vec<_> = self.settings.iter().map(|setting| variable(&setting.key)).collect();
        for (name, said) in self.overrides.iter().filter(|(name, _)| !self.used.contains(*name)) {
            let message = match nearest(name, known.iter().map(String::as_str)) {
                _ if said.text.is_none() => "is not valid UTF-8".to_owned(),
                Some(near) => format!("sets nothing; did you mean {near}?"),
                None => format!("sets nothing; expected {PREFIX}SECTION__KEY of a known setting"),
            };
            let place = Place::Variable((*name).to_owned());
            self.problems.push(Problem { place, key: String::new(), message });
        }
    }

    /// Where relative files are looked for.
    pub(super) fn folder(&self) -> &'a Path {
        Path::new(self.file).parent().unwrap_or(Path::new(""))
    }

    fn place(&self, variable: Option<&str>, at: Option<usize>) -> Place {
        if let Some(name) = variable {
            return Place::Variable(name.to_owned());
        }
        let (line, column) = at.map(|at| position(self.text, at)).unzip();
        Place::File { file: self.file.to_owned(), line, column }
    }

    /// Notes what is wrong with a value, or with a file that lacks it.
    pub(super) fn problem(&mut self, given: Option<&Given<'_>>, key: &str, message: impl Into<String>) {
        let (variable, at) = given.map_or((None, None), |given| (given.variable, given.at));
        let place = self.place(variable, at);
        self.problems.push(Problem { place, key: key.to_owned(), message: message.into() });
    }
}

/// The variable that overrides a setting.
pub(super) fn variable(key: &str) -> String {
    let name = key.replace(['.', '['], "__").replace(']', "").to_ascii_uppercase();
    format!("{PREFIX}{name}")
}

/// Line and column of a byte of the text, both from 1.
pub(super) fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.rsplit('\n').next().unwrap_or_default();
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}

/// The name that a misspelt one was probably meant to be: one slip in four
/// letters, and three at most.
pub(super) fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    known
        .map(|other| (strsim::damerau_levenshtein(name, other), other))
        .filter(|(slips, other)| *slips <= other.len().div_ceil(4).min(3))
        .min()
        .map(|(_, other)| other)
}
