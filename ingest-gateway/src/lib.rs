//! The public door: takes requests in over HTTP, and answers 2xx once they are stored in `RAW`.
//!
//! * `POST /v1/{channel}/{source}` (and the other methods that the source's provider uses) -- stored, held, or refused.
//! * anything else -- 404, or 405 with `Allow`.
//!
//! Read in this order: [`route`], [`address`], [`limits`], [`bucket`], [`client_names`], [`pace`], [`admit`], [`answer`],
//! [`redact`], [`pseudonym`], [`expiry`] and [`restart`] decide and do nothing; [`sources`] is what they decide by; [`body`] reads within [`budget`],
//! [`store`] writes, [`fetcher`] asks providers by way of [`egress`], [`probe`] and [`pulse`] know whether that works;
//! [`source_limits`] and [`fleet`] keep a source's limit together with the other gateways, of which [`neighbours`] knows how
//! many there are; [`intake`] is a request on its way, and [`gateway`] takes it through all of it. What is particular to a
//! provider is in its adapter.
//!
//! Requests that are no HTTP are refused by the HTTP library itself, with an answer that has no body.

pub mod address;
pub mod admit;
pub mod answer;
pub mod bucket;
pub mod client_names;
pub mod envelope;
pub mod expiry;
pub mod limits;
pub mod pace;
pub mod pseudonym;
pub mod redact;
pub mod restart;
pub mod route;
pub mod sources;

pub mod clock;
pub mod metrics;
pub mod pulse;
pub mod recent;
pub mod throttle;

pub mod ticket;

pub mod body;
pub mod budget;
pub mod egress;
pub mod fetcher;
pub mod fleet;
pub mod group;
pub mod intake;
pub mod neighbours;
pub mod probe;
pub mod source_limits;
pub mod store;

pub mod gateway;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use runtime::config::{Config, Need, Requirements};
use runtime::error_chain::Chain;
use runtime::http_server::{CurrentTls, Refuse, ServerLimits, Share, listen, serve};
use runtime::nats::Nats;
use runtime::open_files;
use runtime::process::{Context, Loaded, Role, StartError};
use runtime::tasks::Outcome;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::answer::{Answer, Refusal};
use crate::budget::Budget;
use crate::clock::BrokerClock;
use crate::fleet::Fleet;
use crate::gateway::Gateway;
use crate::group::Group;
use crate::intake::State;
use crate::metrics::GatewayMetrics;
use crate::probe::Prober;
use crate::pulse::Pulse;
use crate::sources::Table;
use crate::store::Store;
use crate::ticket::Ticket;

/// The role, for a process to play.
pub const ROLE: Role = Role {
    name: "gateway",
    admin: |config| config.gateway.admin,
    admin_key: "gateway.admin",
    grace: |config| config.gateway.shutdown_grace,
    threads: |config| config.gateway.threads.unwrap_or_else(half_of_the_processors),
    requirements: Requirements {
        nats: Need::Required,
        postgres: Need::Unused,
        hash_key: Need::Required,
        source_secrets: Need::Required,
        attachments: Need::Unused,
    },
    check: |config| Table::build(config, None).map(|_| ()),
    start: |context| Box::pin(start(context)),
};

/// How long the start waits for the broker. Without it the gateway starts all the same, and answers 503.
const FIRST_LOOK: Duration = Duration::from_secs(2);
/// How often limiters forget addresses that have been quiet.
const TIDY_EVERY: Duration = Duration::from_secs(1);

fn half_of_the_processors() -> usize {
    std::thread::available_parallelism().map_or(1, |processors| (processors.get() / 2).max(1))
}

async fn start(mut context: Context) -> Result<Context, StartError> {
    let config = context.config.gateway.clone();
    let nats_health = context.health.dependency("nats");
    let (raw, time) = (context.health.dependency("raw"), context.health.dependency("clock"));
    let streams = context.health.dependency("streams");
    let nats = Nats::connect(&context.config.nats, ROLE.name, config.publish_timeout, nats_health).await?;
    let (state, current) = watch::channel(Arc::new(State::build(&context.config, None)?));

    let (clock, pulse) = (Arc::<BrokerClock>::default(), Arc::new(Pulse::new(Instant::now())));
    let (metrics, budget) = (Arc::new(GatewayMetrics::new()), Budget::new(current.borrow().table.body_budget));
    let group = nats.commits_groups().then(|| Group::new(nats.clone()));
    let (group, commits) = group.unzip();
    let store = Store::new(nats.clone(), Arc::clone(&pulse), group);
    let prober = Prober {
        nats: nats.clone(),
        store: store.clone(),
        pulse,
        clock: Arc::clone(&clock),
        metrics: Arc::clone(&metrics),
        raw,
        time,
        streams,
    };
    if let Ok(looked) = tokio::time::timeout(FIRST_LOOK, prober.check()).await {
        looked?;
    }

    let gateways = Arc::new(AtomicU64::new(1));
    let (fleet, lease) = Fleet::new(nats.clone(), Arc::clone(&clock), Arc::clone(&gateways), Arc::default());

    let listener = listen(config.listen, "gateway.listen").await?;
    info!(address = %config.listen, sources = context.config.sources.len(), "listening");
    let refuse = refuse(Arc::clone(&clock));
    let gateway = Arc::new(Gateway::new(current.clone(), store, budget.clone(), clock, fleet, Arc::clone(&metrics)));
    let limits = ServerLimits {
        connections: open_files::connections(config.max_connections),
        share: Some(share_of_connections(current.clone())),
        refuse: Some(refuse),
        tls: Some(current_tls(current.clone())),
        header_timeout: config.header_timeout,
        // The rest of the time is for the other tasks to end.
        grace: config.shutdown_grace.mul_f64(0.9),
    };
    let shutdown = context.shutdown.clone();
    let answer = move |request, peer| Arc::clone(&gateway).answer(request, peer);
    if let Some(commits) = commits {
        context.tasks.spawn("group-commit", commits);
    }
    context.tasks.spawn("lease", lease);
    context.tasks.spawn("neighbours", neighbours::run(nats, gateways, metrics::gateways(), shutdown.clone()));
    context.tasks.spawn("http", serve(listener, answer, limits, shutdown.clone()));
    context.tasks.spawn("probe", prober.run(shutdown.clone()));
    context.tasks.spawn("tidy", tidy(current, budget.clone(), metrics, shutdown.clone()));
    let running = context.config.clone();
    context.tasks.spawn("reload", reload(context.loaded.clone(), running, state, budget, shutdown));
    Ok(context)
}

/// How many connections a peer may have, by the configuration that is in force.
fn share_of_connections(state: watch::Receiver<Arc<State>>) -> Share {
    Arc::new(move |peer| {
        let state = state.borrow();
        let peer = peer.to_canonical();
        let is_proxy = state.table.trusted_proxies.iter().any(|network| network.contains(&peer));
        (!is_proxy).then(|| (address::limited_as(peer), state.table.connections_per_address))
    })
}

/// The answer to a request that there is no room for: it has an id as every other.
fn refuse(clock: Arc<BrokerClock>) -> Refuse {
    Arc::new(move || {
        let ticket = Ticket::draw(&clock);
        Answer::Refused(Refusal::Overloaded).respond(ticket.id, ticket.jitter)
    })
}

/// What TLS is spoken with, by the configuration that is in force.
fn current_tls(state: watch::Receiver<Arc<State>>) -> CurrentTls {
    Arc::new(move || state.borrow().table.tls.clone())
}

/// Puts each new configuration in force, for the requests that come after it, and tells what of it is not: what this
/// process was started with (`running`) and is read only then.
async fn reload(
    mut loaded: watch::Receiver<Arc<Loaded>>,
    running: Config,
    state: watch::Sender<Arc<State>>,
    budget: Budget,
    shutdown: CancellationToken,
) -> Outcome {
    while let Some(Ok(())) = shutdown.run_until_cancelled(loaded.changed()).await {
        let loaded = Arc::clone(&loaded.borrow_and_update());
        let previous = Arc::clone(&state.borrow());
        match State::build(&loaded.config, Some(&previous)) {
            Ok(new) => {
                // Together: no source takes a body that the budget has no room for.
                budget.resize(new.table.body_budget);
                state.send_replace(Arc::new(new));
                let settings = restart::needed_for(&running, &loaded.config);
                if !settings.is_empty() {
                    let settings = settings.join(", ");
                    warn!(settings, "these settings take a restart; the rest of the new configuration is in force");
                }
            }
            // Cannot be: the same was built before the configuration was let in.
            Err(problems) => error!(error = %Chain(&problems), "the new sources are refused; the old ones stay"),
        }
    }
    shutdown.cancelled().await;
    Ok(())
}

/// Keeps the limiters small and the gauge current.
async fn tidy(
    state: watch::Receiver<Arc<State>>,
    budget: Budget,
    metrics: Arc<GatewayMetrics>,
    shutdown: CancellationToken,
) -> Outcome {
    let mut tick = tokio::time::interval(TIDY_EVERY);
    while shutdown.run_until_cancelled(tick.tick()).await.is_some() {
        let current = Arc::clone(&state.borrow());
        current.table.requests.tidy();
        current.table.failures.tidy();
        #[expect(clippy::cast_precision_loss, reason = "a gauge of bytes")]
        metrics.body_bytes.set(budget.used() as f64);
    }
    Ok(())
}
