//! How each source is read: its adapter, its fields, its rule against repeats. Made from the configuration, and made
//! anew when that changes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use proto::{Channel, HashKey, Policy};
use providers::{Adapter, SourceSettings, Windows};
use runtime::config::{Config, DedupPolicy, Problems, Source};
use secrecy::ExposeSecret as _;
use tokio::sync::watch;
use tracing::error;

/// How one source is read.
#[derive(Clone, Debug)]
pub struct Reading {
    /// Which fields mean what.
    pub settings: SourceSettings,
    /// What its keys are made of.
    pub policy: Policy,
    /// For how long they hold.
    pub windows: Windows,
}

/// How every source is read.
#[derive(Debug)]
pub struct Sources {
    readings: HashMap<String, Reading>,
    fallback: Reading,
    hash_key: HashKey,
}

impl Sources {
    /// As configured, or everything that is wrong with it.
    pub fn read(config: &Config) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let mut readings = HashMap::new();
        for source in &config.sources {
            let adapter =
                source.channel.parse::<Channel>().ok().and_then(|channel| providers::find(channel, &source.provider));
            if adapter.is_none() {
                let message = format!("there is no adapter for {} from {}", source.channel, source.provider);
                problems.append(config.source_problem(source, "provider", &message));
            }
            readings.insert(
                source.name.clone(),
                Reading::of(source, config, adapter.map_or(0, |adapter| adapter.contract().max_body)),
            );
        }
        let secret = config.dedup.hash_key.as_ref();
        if secret.is_none() {
            problems.append(Problems::at(&config.file, None, "dedup.hash_key", "is missing: keys are made with it"));
        }
        let hash_key = HashKey::derive(secret.map_or("", |secret| secret.expose_secret()).as_bytes());
        let fallback = Reading {
            settings: SourceSettings::default(),
            policy: Policy::Auto,
            windows: Windows { id_ms: millis(config.dedup.window), content_ms: millis(config.dedup.content_window) },
        };
        problems.into_result().map(|()| Self { readings, fallback, hash_key })
    }

    /// How a source is read. One that is not configured any more is still read, as its provider's adapter does without
    /// settings: what was accepted is never dropped because the configuration moved on.
    pub fn reading(&self, source: &str) -> &Reading {
        self.readings.get(source).unwrap_or(&self.fallback)
    }

    /// The secret that keys are made with.
    pub fn hash_key(&self) -> &HashKey {
        &self.hash_key
    }

    /// The adapter that reads a request, by what the gateway wrote beside it.
    pub fn adapter(channel: Channel, provider: &str) -> Option<&'static dyn Adapter> {
        providers::find(channel, provider)
    }
}

impl Reading {
    /// `largest` is the largest body that its provider sends.
    fn of(source: &Source, config: &Config, largest: u64) -> Self {
        let policy = match source.dedup.policy {
            DedupPolicy::Auto => Policy::Auto,
            DedupPolicy::Content => Policy::Content,
            DedupPolicy::Off => Policy::Off,
        };
        let own = source.dedup.window;
        // A source's own window is for the keys that its policy makes; content under `auto` is only a way out.
        let content = own.filter(|_| policy == Policy::Content).unwrap_or(config.dedup.content_window);
        Self {
            settings: SourceSettings {
                text_fields: source.text_field.clone(),
                id_field: source.id_field.clone(),
                id_header: source.id_header.clone(),
                max_body: source.max_body.unwrap_or(largest),
            },
            policy,
            windows: Windows { id_ms: millis(own.unwrap_or(config.dedup.window)), content_ms: millis(content) },
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Makes the table anew from a configuration that changed.
pub fn follow(config: &Config, sources: &watch::Sender<Arc<Sources>>) {
    match Sources::read(config) {
        Ok(new) => {
            sources.send_replace(Arc::new(new));
        }
        // The process checked it before; this is a race with nobody, and still nothing to panic about.
        Err(problems) => error!(%problems, "the new sources are refused; the old ones stay in force"),
    }
}
