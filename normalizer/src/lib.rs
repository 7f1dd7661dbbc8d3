//! Turns requests as they came into records that the rest of the pipeline relies on.
//!
//! Read in this order: [`sources`] is how each source is read, [`decide`] turns one request into records and dead
//! letters, [`files`] puts attachments where they belong, [`stage`] moves batches, [`metrics`] counts. What is particular to a provider is in its adapter.
//!
//! The same request always becomes the same records with the same ids and keys: no clock is read, so a redelivery or a
//! replay repeats itself, and every repeat is told by its id.

pub mod decide;
pub mod files;
pub mod metrics;
pub mod sources;
pub mod stage;

use std::sync::Arc;
use std::time::Duration;

use runtime::config::{Need, Requirements};
use runtime::feed::{BatchLimits, Feed};
use runtime::nats::Nats;
use runtime::objects::Objects;
use runtime::process::{Context, Role, StartError};
use runtime::topology::{BODIES, CANONICAL, DLQ, DUPLICATES, HELD, RAW, REPLAY, UNIQUE};
use runtime::trimmer::{KeepFor, Retention};
use runtime::{backlog, process, stream_watch, trimmer, worker};

use crate::files::Files;
use crate::metrics::Metrics;
use crate::sources::Sources;
use crate::stage::Normalizer;

/// The durable consumers, with their streams: one per channel, so that one channel's backlog does not delay another's.
const CONSUMERS: [(&str, &str); 6] = [
    (RAW, "normalizer-email"),
    (RAW, "normalizer-sms"),
    (RAW, "normalizer-whatsapp"),
    (RAW, "normalizer-form"),
    (RAW, "normalizer-webhook"),
    (REPLAY, "normalizer-replay"),
];
/// What this role rests on.
const STREAMS: [&str; 5] = [RAW, REPLAY, CANONICAL, DLQ, BODIES];
/// How long one publish may wait for its acknowledgement.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(5);

/// The streams whose messages can refer to a body.
const REFER_TO_BODIES: [&str; 7] = [RAW, HELD, REPLAY, CANONICAL, UNIQUE, DUPLICATES, DLQ];
/// What may lie between a message and what it refers to, by the broker's clock: they are published within minutes of
/// each other, an hour is a broad margin, and the clock itself may be a day off and be set right in between.
const BETWEEN: Duration = Duration::from_hours(25);

/// The role, for a process to play.
pub const ROLE: Role = Role {
    name: "normalizer",
    admin: |config| config.normalizer.admin,
    admin_key: "normalizer.admin",
    grace: |_| Duration::from_secs(25),
    threads: |config| config.normalizer.threads,
    requirements: Requirements {
        nats: Need::Required,
        postgres: Need::Unused,
        hash_key: Need::Required,
        source_secrets: Need::Unused,
        attachments: Need::Optional,
    },
    check: |config| Sources::read(config).map(|_| ()),
    start: |context| Box::pin(start(context)),
};

async fn start(mut context: Context) -> Result<Context, StartError> {
    let config = context.config.clone();
    let streams = context.health.dependency("streams");
    let nats = Nats::connect(&config.nats, ROLE.name, PUBLISH_TIMEOUT, context.health.dependency("nats")).await?;
    nats.check_until_known(&STREAMS, &CONSUMERS, &streams).await?;

    let metrics = Arc::new(Metrics::new(&config));
    let files = Objects::open(&config.attachments)?
        .map(|objects| Files::new(objects, context.health.dependency("attachments"), Arc::clone(&metrics)));
    let (sources, current) = tokio::sync::watch::channel(Arc::new(Sources::read(&config)?));
    for (stream, consumer) in CONSUMERS {
        let health = context.health.dependency(consumer);
        // Replays keep their order, so that of several copies of a message the same one becomes the row again.
        let workers = if stream == REPLAY { 1 } else { config.normalizer.workers };
        for _ in 0..workers {
            let limits = BatchLimits { messages: config.normalizer.batch, linger: Duration::ZERO };
            let feed = Feed::new(nats.clone(), stream, consumer, limits, health.clone());
            let stage = Normalizer::new(
                nats.clone(),
                current.clone(),
                Arc::clone(&metrics),
                files.clone(),
                context.shutdown.clone(),
            );
            context.tasks.spawn(consumer, worker::run(nats.clone(), feed, stage, context.shutdown.clone()));
        }
    }
    let reload = process::follow(context.loaded.clone(), context.shutdown.clone(), move |config| {
        metrics.follow(config);
        sources::follow(config, &sources);
    });
    context.tasks.spawn("reload", reload);
    let backlog = backlog::run(nats.clone(), ROLE.name, CONSUMERS.to_vec(), context.shutdown.clone());
    context.tasks.spawn("backlog", backlog);
    let watch =
        stream_watch::run(nats.clone(), STREAMS.to_vec(), CONSUMERS.to_vec(), streams, context.shutdown.clone());
    context.tasks.spawn("streams", watch);
    for retention in retentions(&config) {
        context.tasks.spawn("trim", trimmer::run(nats.clone(), retention, context.shutdown.clone()));
    }
    Ok(context)
}

/// What this stage trims: the streams it consumes, and those that nobody consumes.
fn retentions(config: &runtime::config::Config) -> [Retention; 4] {
    let minute = Duration::from_mins(1);
    let keep =
        |stream, keep, under_pressure, every| Retention { stream, keep, most_messages: None, under_pressure, every };
    [
        keep(RAW, KeepFor::Age(config.retention.raw), true, minute),
        keep(REPLAY, KeepFor::Age(Duration::ZERO), true, Duration::from_secs(15)),
        // Nobody processes these, so nothing of them may go early: a full HELD answers 401, which is what it is for.
        keep(HELD, KeepFor::Age(config.retention.held), false, minute),
        keep(BODIES, KeepFor::ReferredTo(&REFER_TO_BODIES, BETWEEN), false, minute),
    ]
}
