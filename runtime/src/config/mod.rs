//! The one configuration file of all processes.
//!
//! Read it with [`Config::load`], which returns all that is wrong at once. A section is a struct in a
//! file of its own; [`settings`] lists what they read, and a test holds `docs/configuration.md` to it.
//! A configuration is a value: nothing here keeps one, and nothing but [`Environment::of_process`]
//! looks at the process.

mod attachments;
mod dedup;
mod environment;
mod format;
mod gateway;
mod hold;
mod log;
mod nats;
mod normalizer;
mod persister;
mod postgres;
mod problems;
mod public_url;
mod reader;
mod reading;
mod requirements;
mod retention;
mod scheme;
mod secret;
mod source;
mod streams;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use toml::de::{DeTable, DeValue};

pub use self::attachments::Attachments;
pub use self::dedup::Dedup;
pub use self::environment::Environment;
pub use self::gateway::{AuthFailures, Egress, Gateway, Limits, Rate, Tls};
pub use self::hold::Hold;
pub use self::log::{Log, LogFormat};
pub use self::nats::Nats;
pub use self::normalizer::Normalizer;
pub use self::persister::Persister;
pub use self::postgres::Postgres;
pub use self::problems::{Place, Problem, Problems};
pub use self::public_url::PublicUrl;
pub use self::reading::Setting;
pub use self::requirements::{Need, Requirements};
pub use self::retention::Retention;
pub use self::scheme::{Algorithm, Encoding, Scheme};
pub use self::secret::Secret;
pub use self::source::{CHANNELS, DedupPolicy, OnDuplicate, OverLimit, PROVIDERS, Source, SourceDedup, Verify};
pub use self::streams::Streams;

use self::reader::Reader;
use self::reading::{Reading, position};
use self::source::Checks;

/// Largest file: thousands of sources, and an end to reading what is no configuration.
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// What stands for the file where there is none.
const NO_FILE: &str = "(no configuration file)";

/// Everything an operator can set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The file it was read from, for problems found later.
    pub file: String,
    /// The broker.
    pub nats: Nats,
    /// How much each stream may hold.
    pub streams: Streams,
    /// The database.
    pub postgres: Postgres,
    /// The gateway.
    pub gateway: Gateway,
    /// The normalizer.
    pub normalizer: Normalizer,
    /// The dedup worker, and what makes a repeat.
    pub dedup: Dedup,
    /// The persister.
    pub persister: Persister,
    /// How much is held.
    pub hold: Hold,
    /// How long things are kept.
    pub retention: Retention,
    /// Where attachments are put.
    pub attachments: Attachments,
    /// What a process writes about itself.
    pub log: Log,
    /// Who may send, in the order of the file.
    pub sources: Vec<Source>,
}

impl Config {
    /// Reads a file, or with `None` only defaults and overrides. Everything must stand in it: see
    /// [`Config::load_for`].
    pub fn load(path: Option<&Path>, env: &Environment) -> Result<Self, Problems> {
        Self::load_for(path, env, Requirements::ALL)
    }

    /// Reads a file for a process that needs only some of it.
    pub fn load_for(path: Option<&Path>, env: &Environment, requirements: Requirements) -> Result<Self, Problems> {
        let Some(path) = path else {
            return Self::parse_for("", NO_FILE, env, requirements);
        };
        let file = path.display().to_string();
        let text = secret::read_limited(path, MAX_FILE)
            .map_err(|error| Problems::at(&file, None, "", format!("cannot be read: {error}")))?;
        Self::parse_for(&text, &file, env, requirements)
    }

    /// Reads a text. `file_name` is for problems, and its folder for secrets in relative files.
    pub fn parse(text: &str, file_name: &str, env: &Environment) -> Result<Self, Problems> {
        Self::parse_for(text, file_name, env, Requirements::ALL)
    }

    /// Reads a text for a process that needs only some of it.
    pub fn parse_for(
        text: &str,
        file_name: &str,
        env: &Environment,
        requirements: Requirements,
    ) -> Result<Self, Problems> {
        let (config, _, problems) = read(text, file_name, env, requirements)?;
        problems.into_result().map(|()| config)
    }

    /// A problem with one of [`Config::sources`] that only an adapter can see: `key` is that of the
    /// source's table, such as `secrets`.
    pub fn source_problem(&self, source: &Source, key: &str, message: &str) -> Problems {
        let index = self.sources.iter().position(|other| other.name == source.name);
        let index = index.map_or_else(String::new, |index| index.to_string());
        Problems::at(&self.file, source.line, format!("sources[{index}].{key}"), message)
    }

    fn sections(reader: &mut Reader<'_, '_>, file: &str, requirements: Requirements) -> Self {
        let Requirements { nats, postgres, hash_key, source_secrets, attachments } = requirements;
        let gateway = reader.table("gateway", |reader| Gateway::read(reader, source_secrets));
        let retention = reader.table("retention", Retention::read);
        let mut checks = Checks { secrets: source_secrets, retention: retention.clone(), names: BTreeMap::new() };
        Self {
            file: file.to_owned(),
            nats: reader.table("nats", |reader| Nats::read(reader, nats)),
            streams: reader.table("streams", Streams::read),
            postgres: reader.table("postgres", |reader| Postgres::read(reader, postgres)),
            gateway,
            normalizer: reader.table("normalizer", Normalizer::read),
            dedup: reader.table("dedup", |reader| Dedup::read(reader, hash_key)),
            persister: reader.table("persister", Persister::read),
            hold: reader.table("hold", Hold::read),
            retention,
            attachments: reader.table("attachments", |reader| Attachments::read(reader, attachments.optional())),
            log: reader.table("log", Log::read),
            sources: reader.tables("sources", |reader| Source::read(reader, &mut checks)),
        }
    }
}

/// Every setting there is, as it is really read.
pub fn settings() -> Vec<Setting> {
    let env = Environment::default();
    read("[[sources]]", NO_FILE, &env, Requirements::ALL).map(|(_, settings, _)| settings).unwrap_or_default()
}

/// Reads a text into a configuration that may be used only where there are no problems. A text that
/// is no TOML is an error at once: what it lacks would be guesswork.
fn read(
    text: &str,
    file: &str,
    env: &Environment,
    requirements: Requirements,
) -> Result<(Config, Vec<Setting>, Problems), Problems> {
    let root = DeValue::Table(syntax(text, file)?);
    let overrides = env.overrides();
    let mut reading = Reading {
        file,
        text,
        env,
        overrides: &overrides,
        used: BTreeSet::new(),
        settings: Vec::new(),
        problems: Problems::default(),
    };
    let config = reading.read(&root, |reader| Config::sections(reader, file, requirements));
    Ok((config, reading.settings, reading.problems))
}

fn syntax<'a>(text: &'a str, file: &str) -> Result<DeTable<'a>, Problems> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut problems = Problems::default();
    for error in errors {
        let (line, column) = error.span().map(|span| position(text, span.start)).unzip();
        let place = Place::File { file: file.to_owned(), line, column };
        let message = format!("not valid TOML: {}", error.message());
        problems.push(Problem { place, key: String::new(), message });
    }
    problems.into_result().map(|()| table.into_inner())
}
