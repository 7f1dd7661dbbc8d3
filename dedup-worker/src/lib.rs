//! Keeps most repeats from going further as unique records. The first line, and a cheap one: the persister judges
//! exactly, so this stage may err, and only ever towards a second look.
//!
//! Read in this order: [`decide`] says where a record goes, [`stage`] moves batches, [`metrics`] counts.
//!
//! Publishing a record to its key's subject *is* claiming the key: the subject holds one message, so there is no step
//! between claim and message for a crash to fall into. This stage never reads a claim, and drops no message.

pub mod decide;
pub mod metrics;
pub mod stage;

use std::sync::Arc;
use std::time::Duration;

use runtime::config::{Config, Need, Requirements};
use runtime::feed::{BatchLimits, Feed};
use runtime::nats::Nats;
use runtime::process::{Context, Role, StartError};
use runtime::topology::{BODIES, CANONICAL, DLQ, DUPLICATES, UNIQUE};
use runtime::trimmer::{KeepFor, Retention};
use runtime::{backlog, process, stream_watch, trimmer, worker};

use crate::decide::Claims;
use crate::metrics::Metrics;
use crate::stage::Dedup;

/// The durable consumer on [`CANONICAL`].
const CONSUMER: &str = "dedup";
/// What this role rests on.
const STREAMS: [&str; 5] = [CANONICAL, UNIQUE, DUPLICATES, DLQ, BODIES];
/// How long one publish may wait for its acknowledgement.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(5);

/// The role, for a process to play.
pub const ROLE: Role = Role {
    name: "dedup",
    admin: |config| config.dedup.admin,
    admin_key: "dedup.admin",
    grace: |_| Duration::from_secs(25),
    threads: |config| config.dedup.threads,
    requirements: Requirements {
        nats: Need::Required,
        postgres: Need::Unused,
        hash_key: Need::Unused,
        source_secrets: Need::Unused,
        attachments: Need::Unused,
    },
    check: |_| Ok(()),
    start: |context| Box::pin(start(context)),
};

async fn start(mut context: Context) -> Result<Context, StartError> {
    let Config { nats: nats_config, dedup: config, .. } = &context.config;
    let streams = context.health.dependency("streams");
    let nats = Nats::connect(nats_config, ROLE.name, PUBLISH_TIMEOUT, context.health.dependency("nats")).await?;
    nats.check_until_known(&STREAMS, &[(CANONICAL, CONSUMER)], &streams).await?;

    let metrics = Arc::new(Metrics::new(&context.config));
    let claims = Claims::of(config);
    for _ in 0..config.workers {
        let limits = BatchLimits { messages: config.batch, linger: Duration::ZERO };
        let feed = Feed::new(nats.clone(), CANONICAL, CONSUMER, limits, context.health.dependency("canonical"));
        let stage = Dedup::new(nats.clone(), claims, Arc::clone(&metrics), context.shutdown.clone());
        context.tasks.spawn("dedup", worker::run(nats.clone(), feed, stage, context.shutdown.clone()));
    }
    let reload =
        process::follow(context.loaded.clone(), context.shutdown.clone(), move |config| metrics.follow(config));
    context.tasks.spawn("reload", reload);
    let backlog = backlog::run(nats.clone(), ROLE.name, vec![(CANONICAL, CONSUMER)], context.shutdown.clone());
    context.tasks.spawn("backlog", backlog);
    let consumers = vec![(CANONICAL, CONSUMER)];
    let watch = stream_watch::run(nats.clone(), STREAMS.to_vec(), consumers, streams, context.shutdown.clone());
    context.tasks.spawn("streams", watch);
    let retention = Retention {
        stream: CANONICAL,
        keep: KeepFor::Age(Duration::ZERO),
        most_messages: None,
        under_pressure: true,
        every: Duration::from_secs(15),
    };
    context.tasks.spawn("trim", trimmer::run(nats, retention, context.shutdown.clone()));
    Ok(context)
}
