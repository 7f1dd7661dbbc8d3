//! The persister as a role: what it is wired to.

use std::sync::Arc;
use std::time::Duration;

use proto::{DedupRule, Policy};
use runtime::config::{Need, Requirements};
use runtime::error_chain::Chain;
use runtime::feed::{BatchLimits, Feed};
use runtime::health::Dependency;
use runtime::nats::Nats;
use runtime::objects::Objects;
use runtime::process::{Context, Role, StartError};
use runtime::topology::{BODIES, DLQ, DUPLICATES, UNIQUE};
use runtime::trimmer::{KeepFor, Retention};
use runtime::{backlog, backoff::Backoff, process, stream_watch, trimmer, worker};
use secrecy::ExposeSecret as _;
use tracing::warn;

use crate::audit;
use crate::housekeeping;
use crate::letters::Letters;
use crate::metrics::Metrics;
use crate::pulse;
use crate::retention::files;
use crate::schema::SchemaError;
use crate::stage::Persister;
use crate::store::{Store, StoreError};

const UNIQUES: (&str, &str) = (UNIQUE, "persister");
const REPEATS: (&str, &str) = (DUPLICATES, "persister-duplicates");
const LETTERS: (&str, &str) = (DLQ, "persister-dead-letters");
/// What this role rests on.
const STREAMS: [&str; 4] = [UNIQUE, DUPLICATES, DLQ, BODIES];
const CONSUMERS: [(&str, &str); 3] = [UNIQUES, REPEATS, LETTERS];
/// How long one publish may wait for its acknowledgement.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(5);

/// The role, for a process to play.
pub const ROLE: Role = Role {
    name: "persister",
    admin: |config| config.persister.admin,
    admin_key: "persister.admin",
    grace: |_| Duration::from_secs(25),
    threads: |config| config.persister.threads,
    requirements: Requirements {
        nats: Need::Required,
        postgres: Need::Required,
        hash_key: Need::Unused,
        source_secrets: Need::Unused,
        attachments: Need::Optional,
    },
    check: |_| Ok(()),
    start: |context| Box::pin(start(context)),
};

async fn start(mut context: Context) -> Result<Context, StartError> {
    let config = context.config.clone();
    let database = context.health.dependency("postgres");
    let url = config.postgres.url.as_ref().map_or("", |url| url.expose_secret());
    let store = Arc::new(Store::connect(url, config.postgres.max_connections).await?);
    let streams = context.health.dependency("streams");
    let nats = Nats::connect(&config.nats, ROLE.name, PUBLISH_TIMEOUT, context.health.dependency("nats")).await?;
    nats.check_until_known(&STREAMS, &CONSUMERS, &streams).await?;
    check_schema_until_known(&store, &database).await?;
    // One teller each: what one of them says must not hide what another has to say.
    let [records, dead_letters] = ["records", "dead-letters"].map(|name| context.health.dependency(name));
    records.ok("the tables are up to date");
    dead_letters.ok("the tables are up to date");

    let objects = Objects::open(&config.attachments)?;
    let metrics = Arc::new(Metrics::new(&config));
    let rule = DedupRule {
        policy: Policy::Auto,
        window_ms: u64::try_from(config.dedup.window.as_millis()).unwrap_or(u64::MAX),
    };
    let limits = BatchLimits { messages: config.persister.batch, linger: config.persister.linger };
    for (stream, consumer) in [UNIQUES, REPEATS] {
        let health = context.health.dependency(consumer);
        // Replays come through DUPLICATES and keep their order, so that of several copies of a message the same one
        // becomes the row again.
        let writers = if stream == DUPLICATES { 1 } else { config.persister.writers };
        for _ in 0..writers {
            let feed = Feed::new(nats.clone(), stream, consumer, limits, health.clone());
            let stage = Persister {
                nats: nats.clone(),
                store: Arc::clone(&store),
                rule,
                metrics: Arc::clone(&metrics),
                database: records.clone(),
                shutdown: context.shutdown.clone(),
            };
            context.tasks.spawn(consumer, worker::run(nats.clone(), feed, stage, context.shutdown.clone()));
        }
    }
    let (stream, consumer) = LETTERS;
    let feed = Feed::new(nats.clone(), stream, consumer, limits, context.health.dependency(consumer));
    let letters = Letters { store: Arc::clone(&store), database: dead_letters, shutdown: context.shutdown.clone() };
    context.tasks.spawn(consumer, worker::run(nats.clone(), feed, letters, context.shutdown.clone()));

    let counting = Arc::clone(&metrics);
    let reload =
        process::follow(context.loaded.clone(), context.shutdown.clone(), move |config| counting.follow(config));
    context.tasks.spawn("reload", reload);
    let backlog = backlog::run(nats.clone(), ROLE.name, vec![UNIQUES, REPEATS], context.shutdown.clone());
    context.tasks.spawn("backlog", backlog);
    let watch =
        stream_watch::run(nats.clone(), STREAMS.to_vec(), CONSUMERS.to_vec(), streams, context.shutdown.clone());
    context.tasks.spawn("streams", watch);
    for retention in retentions(&config) {
        context.tasks.spawn("trim", trimmer::run(nats.clone(), retention, context.shutdown.clone()));
    }
    context.tasks.spawn("pulse", pulse::run(Arc::clone(&store), database, context.shutdown.clone()));
    if config.persister.audit {
        let loaded = context.loaded.clone();
        let raw = config.retention.raw;
        let audit = audit::task::run(nats.clone(), Arc::clone(&store), loaded, raw, context.shutdown.clone());
        context.tasks.spawn("audit", audit);
    }
    let (loaded, streams) = (context.loaded.clone(), config.retention);
    if let Some(objects) = objects.clone() {
        let (nats, store, metrics) = (nats.clone(), Arc::clone(&store), Arc::clone(&metrics));
        let (loaded, streams, shutdown) = (loaded.clone(), streams.clone(), context.shutdown.clone());
        context.tasks.spawn("files", files::run(nats, store, objects, loaded, streams, metrics, shutdown));
    }
    let housekeeping = housekeeping::run(nats, store, loaded, streams, objects, metrics, context.shutdown.clone());
    context.tasks.spawn("housekeeping", housekeeping);
    Ok(context)
}

/// What this stage trims: the streams it consumes.
fn retentions(config: &runtime::config::Config) -> [Retention; 3] {
    [
        // A purge of many subjects holds publishes for a tenth of a second or three, so rarely.
        Retention {
            stream: UNIQUE,
            keep: KeepFor::Age(config.dedup.claims),
            most_messages: Some(config.dedup.max_claims),
            under_pressure: true,
            every: Duration::from_mins(5),
        },
        Retention {
            stream: DUPLICATES,
            keep: KeepFor::Age(Duration::ZERO),
            most_messages: None,
            under_pressure: true,
            every: Duration::from_secs(15),
        },
        // Recorded is not processed: what is in here is for a person, so nothing of it goes early.
        Retention {
            stream: DLQ,
            keep: KeepFor::Age(config.retention.dlq),
            most_messages: None,
            under_pressure: false,
            every: Duration::from_mins(1),
        },
    ]
}

/// Waits for a database that is away; refuses one that is not as it must be.
async fn check_schema_until_known(store: &Store, database: &Dependency) -> Result<(), SchemaError> {
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(3));
    loop {
        match store.check_schema().await {
            Err(error @ SchemaError::Ask(_)) => {
                warn!(error = %Chain(&error), "waiting for PostgreSQL");
                database.failed(error.to_string());
                tokio::time::sleep(backoff.wait()).await;
            }
            Ok(()) => {
                database.ok("connected");
                return Ok(());
            }
            Err(error) => return Err(error),
        }
    }
}

/// Brings the tables up to date: what `persister migrate` does.
pub async fn migrate(config: &runtime::config::Config) -> Result<(), StoreError> {
    let url = config.postgres.url.as_ref().map_or("", |url| url.expose_secret());
    let store = Store::connect(url, 1).await?;
    store.migrate().await?;
    store.close().await;
    Ok(())
}
