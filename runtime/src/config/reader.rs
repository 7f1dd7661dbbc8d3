//! Reads sections of a spanned TOML tree, under the environment's overrides, and collects what is
//! wrong with them.
//!
//! Nothing here fails early: a bad value becomes a problem and a stand-in, and the stand-in never
//! leaves [`Config::parse`](super::Config::parse), which returns the problems instead. What is asked
//! for is recorded, so the documentation can be compared with what is really read.

use toml::de::DeTable;

use super::environment::value_of;
use super::format::{Format, Given, literal};
use super::reading::{Reading, Setting, nearest, position, variable};
use super::requirements::Need;
use super::secret::{self, FORMS, Secret};

/// Reads one table.
pub(super) struct Reader<'r, 'a> {
    reading: &'r mut Reading<'a>,
    path: String,
    /// The table; absent where the file does not have it.
    given: Option<Given<'a>>,
    asked: Vec<&'static str>,
}

impl<'r, 'a> Reader<'r, 'a> {
    pub(super) fn new(reading: &'r mut Reading<'a>, path: String, given: Option<Given<'a>>) -> Self {
        Self { reading, path, given, asked: Vec::new() }
    }

    /// A value that may be absent.
    pub(super) fn optional<T>(&mut self, key: &'static str, format: &Format<T>) -> Option<T> {
        self.left_open(key, "none", format)
    }

    /// A value that may be absent, where whoever uses it finds its own: `default` says in words how.
    pub(super) fn left_open<T>(&mut self, key: &'static str, default: &'static str, format: &Format<T>) -> Option<T> {
        self.record(key, format.kind, default, &format.range);
        let given = self.find(key)?;
        self.parse(&self.path_of(key), &given, format)
    }

    /// A value, or what stands in its place where it is absent.
    pub(super) fn or<T>(&mut self, key: &'static str, default: &'static str, format: &Format<T>) -> T {
        self.record(key, format.kind, default, &format.range);
        let value = value_of(default);
        let stated = Given { value: &value, raw: Some(default), variable: None, at: None };
        let fallback = literal(format.read(&stated));
        let Some(given) = self.find(key) else { return fallback };
        self.parse(&self.path_of(key), &given, format).unwrap_or(fallback)
    }

    /// A value that must be there.
    pub(super) fn required<T: Default>(&mut self, key: &'static str, format: &Format<T>) -> T {
        self.record(key, format.kind, "required", &format.range);
        match self.find(key) {
            Some(given) => self.parse(&self.path_of(key), &given, format),
            None => self.missing(key, &format.expected),
        }
        .unwrap_or_default()
    }

    /// Any number of values.
    pub(super) fn list<T>(&mut self, key: &'static str, format: &Format<T>) -> Vec<T> {
        self.record(key, &format!("list of {}s", format.kind), "[]", &format.range);
        self.parse_list(key, format)
    }

    /// One value or a list of them.
    pub(super) fn one_or_more<T>(&mut self, key: &'static str, format: &Format<T>) -> Vec<T> {
        self.record(key, &format!("{0} or list of {0}s", format.kind), "[]", &format.range);
        if self.peek(key).is_some_and(|given| !given.value.is_array()) {
            return self.optional(key, format).into_iter().collect();
        }
        self.parse_list(key, format)
    }

    /// A table, which reads as an empty one where it is absent.
    pub(super) fn table<T>(&mut self, key: &'static str, read: impl FnOnce(&mut Reader<'_, 'a>) -> T) -> T {
        let (given, path) = (self.find(key), self.path_of(key));
        Reader::new(self.reading, path, given).finish(read)
    }

    /// A list of tables.
    pub(super) fn tables<T>(&mut self, key: &'static str, mut read: impl FnMut(&mut Reader<'_, 'a>) -> T) -> Vec<T> {
        let elements = self.elements(key).into_iter();
        elements.map(|(path, given)| Reader::new(self.reading, path, Some(given)).finish(&mut read)).collect()
    }

    /// A secret.
    pub(super) fn secret(&mut self, key: &'static str, need: Need) -> Option<Secret> {
        self.secret_that(key, need, ["secret", "not empty", FORMS], &[])
    }

    /// A list of secrets.
    pub(super) fn secrets(&mut self, key: &'static str, need: Need) -> Vec<Secret> {
        self.record(key, "list of secrets", "[]", "none of them empty");
        let elements = self.elements(key);
        elements.iter().filter_map(|(key, given)| self.resolve(key, given, need, &[])).collect()
    }

    /// A URL that may hold a password: a plain string or a secret.
    pub(super) fn secret_url(&mut self, key: &'static str, need: Need, schemes: &[&str]) -> Option<Secret> {
        let range = format!("begins with {}", schemes.join(" or "));
        let expected = format!("a URL that {range}, or {FORMS}");
        self.secret_that(key, need, ["URL or secret", &range, &expected], schemes)
    }

    /// The line this table begins at.
    pub(super) fn line(&self) -> Option<usize> {
        let given = self.given.filter(|given| given.variable.is_none())?;
        Some(position(self.reading.text, given.at?).0)
    }

    /// Says what is wrong with a value that was read without complaint.
    pub(super) fn problem(&mut self, key: &str, message: impl Into<String>) {
        let path = self.path_of(key);
        let given = self.peek(key).or(self.given);
        self.reading.problem(given.as_ref(), &path, message);
    }

    /// Reads the table, then refuses what is in it and nobody asked for.
    pub(super) fn finish<T>(mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        if let Some(given) = self.given.filter(|given| !given.value.is_table()) {
            let message = format!("expected a table, found a TOML {}", given.value.type_str());
            self.reading.problem(Some(&given), &self.path, message);
            self.given = None;
        }
        let value = read(&mut self);
        self.refuse_unknown();
        value
    }

    fn refuse_unknown(&mut self) {
        let Some((table, given)) = self.entries().zip(self.given) else { return };
        for name in table.keys().filter(|name| !self.asked.contains(&name.get_ref().as_ref())) {
            let message = match nearest(name.get_ref(), self.asked.iter().copied()) {
                Some(near) => format!("unknown setting; did you mean {near}?"),
                None => format!("unknown setting; expected one of {}", self.asked.join(", ")),
            };
            let given = Given { at: Some(name.span().start), ..given };
            let path = self.path_of(&name.get_ref().escape_debug().to_string());
            self.reading.problem(Some(&given), &path, message);
        }
    }

    fn entries(&self) -> Option<&'a DeTable<'a>> {
        self.given.and_then(|given| given.value.as_table())
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Notes a setting once; of a list of tables the first stands for all.
    fn record(&mut self, key: &str, kind: &str, default: &'static str, range: &str) {
        let key = self.path_of(key).replace("[0]", "[]");
        let settings = &mut self.reading.settings;
        if settings.iter().all(|known| known.key != key) && !key.contains(|c: char| c.is_ascii_digit()) {
            let (kind, range) = (kind.to_owned(), range.to_owned());
            settings.push(Setting { key, kind, default, range });
        }
    }

    /// The value of a key: from the environment, or else from the file.
    fn find(&mut self, key: &'static str) -> Option<Given<'a>> {
        self.asked.push(key);
        let given = self.peek(key);
        self.reading.used.extend(given.and_then(|given| given.raw.and(given.variable)));
        given
    }

    fn peek(&self, key: &str) -> Option<Given<'a>> {
        let overrides = self.reading.overrides;
        let name = variable(&self.path_of(key));
        if let Some((name, said)) = overrides.get_key_value(name.as_str())
            && said.text.is_some()
        {
            return Some(Given { value: &said.value, raw: said.text, variable: Some(name), at: None });
        }
        let value = self.entries()?.get(key)?;
        Some(self.given?.inside(value))
    }

    fn elements(&mut self, key: &'static str) -> Vec<(String, Given<'a>)> {
        let path = self.path_of(key);
        let Some(given) = self.find(key) else { return Vec::new() };
        let Some(array) = given.value.as_array() else {
            // Not its value: it may be a secret out of its list.
            let message = format!("expected a list, found a TOML {}", given.value.type_str());
            self.reading.problem(Some(&given), &path, message);
            return Vec::new();
        };
        let named = |(index, value)| (format!("{path}[{index}]"), given.inside(value));
        array.iter().enumerate().map(named).collect()
    }

    fn parse_list<T>(&mut self, key: &'static str, format: &Format<T>) -> Vec<T> {
        let elements = self.elements(key);
        elements.iter().filter_map(|(key, given)| self.parse(key, given, format)).collect()
    }

    fn parse<T>(&mut self, key: &str, given: &Given<'_>, format: &Format<T>) -> Option<T> {
        let value = format.read(given);
        if value.is_none() {
            let message = format!("expected {}, found {}", format.expected, given.found());
            self.reading.problem(Some(given), key, message);
        }
        value
    }

    fn missing<T>(&mut self, key: &str, expected: &str) -> Option<T> {
        self.problem(key, format!("missing; expected {expected}"));
        None
    }

    fn secret_that(&mut self, key: &'static str, need: Need, words: [&str; 3], schemes: &[&str]) -> Option<Secret> {
        let [kind, range, expected] = words;
        self.record(key, kind, if need == Need::Required { "required" } else { "none" }, range);
        match self.find(key) {
            Some(given) => self.resolve(&self.path_of(key), &given, need, schemes),
            None if need == Need::Required => self.missing(key, expected),
            None => None,
        }
    }

    fn resolve(&mut self, key: &str, given: &Given<'_>, need: Need, schemes: &[&str]) -> Option<Secret> {
        let found = secret::resolve(given, need, schemes, self.reading.env, self.reading.folder());
        found.unwrap_or_else(|message| {
            self.reading.problem(Some(given), key, message);
            None
        })
    }
}
