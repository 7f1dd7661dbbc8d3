//! What every process does before and after its own work, so that a role's `main` is a few lines: read the
//! configuration, install logs and metrics, bind the admin address, listen to signals, run, drain, and end with a
//! code that means something.

use std::ffi::OsString;
use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use metrics::{counter, describe_counter, describe_gauge, gauge};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::admin::{Admin, VERSION};
use crate::clock::now_millis;
use crate::config::{Config, Environment, Problems, Requirements};
use crate::error_chain::Chain;
use crate::health::Health;
use crate::http_server::{ServerLimits, listen, serve};
use crate::signals::Signals;
use crate::tasks::{Outcome, Tasks};
use crate::telemetry::{Metrics, install_logs};
use crate::{core_dumps, kill_point, panics};

/// The configuration is wrong (`EX_CONFIG` is 78; 64 is what the documents promise).
pub const EXIT_CONFIG: u8 = 64;
/// Something the process needs is not as it must be.
pub const EXIT_UNAVAILABLE: u8 = 69;

/// How long what was left when time was up may go on.
const LEFT_OVER: Duration = Duration::from_millis(500);
/// The admin address answers few and small requests.
const ADMIN_LIMITS: ServerLimits = ServerLimits {
    connections: 64,
    share: None,
    refuse: None,
    tls: None,
    header_timeout: Duration::from_secs(5),
    grace: Duration::from_secs(1),
};

/// The configuration that is in force.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// When they were read, in milliseconds since 1970.
    pub loaded_at: i64,
}

/// Everything a role gets from the process around it.
#[derive(Debug)]
pub struct Context {
    /// The configuration at start.
    pub config: Config,
    /// The configuration in force, changed by SIGHUP.
    pub loaded: watch::Receiver<Arc<Loaded>>,
    /// Tasks to be supervised.
    pub tasks: Tasks,
    /// Cancelled when the process shall finish what it has in hand.
    pub shutdown: CancellationToken,
    /// What the process says of itself.
    pub health: Health,
    /// Proof that metric handles taken from here on record something.
    pub metrics: Metrics,
}

/// Why a role could not start.
pub type StartError = Box<dyn std::error::Error + Send + Sync>;
/// What a role's start function gives.
pub type Starting = Pin<Box<dyn Future<Output = Result<Context, StartError>> + Send>>;

/// A role that a process can play.
#[derive(Clone, Copy, Debug)]
pub struct Role {
    /// `gateway`, `normalizer`, `dedup`, `persister`.
    pub name: &'static str,
    /// The admin address in its section.
    pub admin: fn(&Config) -> SocketAddr,
    /// The key of that address, for the message where it is taken.
    pub admin_key: &'static str,
    /// How long shutdown may take.
    pub grace: fn(&Config) -> Duration,
    /// Threads that work.
    pub threads: fn(&Config) -> usize,
    /// What it needs of the settings that not every role needs.
    pub requirements: Requirements,
    /// Problems that only this role can see, at start and at every reload.
    pub check: fn(&Config) -> Result<(), Problems>,
    /// Adds the role's tasks.
    pub start: fn(Context) -> Starting,
}

/// What a role's own binary does: `<binary> --config <file>`, and `--help`.
pub fn main(role: Role) -> ExitCode {
    match config_argument(std::env::args_os().skip(1), role.name) {
        Ok(file) => run(role, file),
        Err(code) => code,
    }
}

/// The file after `--config` among a binary's arguments; or the exit code where there is nothing to run.
pub fn config_argument(arguments: impl IntoIterator<Item = OsString>, name: &str) -> Result<Option<PathBuf>, ExitCode> {
    let mut arguments = arguments.into_iter();
    let mut file = None;
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("--config") => match arguments.next() {
                Some(path) => file = Some(PathBuf::from(path)),
                None => return Err(refuse(EXIT_CONFIG, "--config needs a file")),
            },
            Some("--help" | "-h") => return Err(tell(&format!("Penstock's {name}.\n\n{USAGE}"))),
            Some("--version" | "-V") => return Err(tell(&format!("penstock {name} {VERSION}"))),
            _ => return Err(refuse(EXIT_CONFIG, &format!("{} is not known here\n\n{USAGE}", argument.display()))),
        }
    }
    Ok(file)
}

/// Runs a job that ends by itself, with the configuration that `requirements` ask for; the process's exit code.
pub fn once<F>(requirements: Requirements, config_file: Option<&Path>, job: impl FnOnce(Config) -> F) -> ExitCode
where
    F: Future<Output = Result<String, StartError>>,
{
    let config = match Config::load_for(config_file, &Environment::of_process(), requirements) {
        Ok(config) => config,
        Err(problems) => return refuse(EXIT_CONFIG, &problems.to_string()),
    };
    let threads = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(threads) => threads,
        Err(error) => return refuse(EXIT_UNAVAILABLE, &format!("could not start: {error}")),
    };
    match threads.block_on(job(config)) {
        Ok(done) => tell(&done),
        Err(error) => refuse(EXIT_UNAVAILABLE, &Chain(error.as_ref()).to_string()),
    }
}

const USAGE: &str =
    "Usage: --config <FILE>   the configuration; PENSTOCK__SECTION__KEY in the environment overrides it";

fn tell(text: &str) -> ExitCode {
    #[expect(clippy::print_stdout, reason = "the answer to --help")]
    {
        println!("{text}");
    }
    ExitCode::SUCCESS
}

/// Plays `role` until it is told to stop; the process's exit code.
pub fn run(role: Role, config_file: Option<PathBuf>) -> ExitCode {
    kill_point::arm();
    let environment = Environment::of_process();
    let config = match read(&role, config_file.as_deref(), &environment) {
        Ok(config) => config,
        Err(problems) => return refuse(EXIT_CONFIG, &problems.to_string()),
    };
    if let Err(error) = install_logs(&config.log) {
        return refuse(EXIT_CONFIG, &Chain(&error).to_string());
    }
    panics::log();
    core_dumps::forbid();
    let metrics = match Metrics::install() {
        Ok(metrics) => metrics,
        Err(error) => return refuse(EXIT_UNAVAILABLE, &Chain(&error).to_string()),
    };
    // Signals and the deadline are looked after apart from the work: where all its threads are stuck, they are not.
    let threads = threads_of(&role, &config);
    let beside = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let (threads, beside) = match (threads, beside) {
        (Ok(threads), Ok(beside)) => (threads, beside),
        (Err(error), _) | (_, Err(error)) => {
            return refuse(EXIT_UNAVAILABLE, &format!("could not start threads: {error}"));
        }
    };
    let code = beside.block_on(play(role, config, config_file, metrics, threads.handle()));
    // Dropped, these would wait without end for whatever does not end.
    threads.shutdown_timeout(LEFT_OVER);
    beside.shutdown_background();
    code
}

/// As many as the role's section says.
fn threads_of(role: &Role, config: &Config) -> std::io::Result<tokio::runtime::Runtime> {
    let mut threads = tokio::runtime::Builder::new_multi_thread();
    threads.enable_all().thread_name(role.name).worker_threads((role.threads)(config).max(1)).build()
}

fn read(role: &Role, file: Option<&Path>, environment: &Environment) -> Result<Config, Problems> {
    let config = Config::load_for(file, environment, role.requirements)?;
    (role.check)(&config)?;
    Ok(config)
}

/// Before logs are set up, and for a person who started the process by hand: plain words on standard error.
fn refuse(code: u8, why: &str) -> ExitCode {
    #[expect(clippy::print_stderr, reason = "there is no log yet")]
    {
        eprintln!("{why}");
    }
    ExitCode::from(code)
}

async fn play(
    role: Role,
    config: Config,
    config_file: Option<PathBuf>,
    metrics: Metrics,
    threads: &tokio::runtime::Handle,
) -> ExitCode {
    describe_gauge!("penstock_build_info", "1, with the version and role of the process.");
    gauge!("penstock_build_info", "version" => VERSION, "role" => role.name).set(1.0);
    describe_gauge!("penstock_ready", "1 where the process can do its job now, as /readyz says; 0 otherwise.");
    let shutdown = CancellationToken::new();
    let abort = CancellationToken::new();
    let signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => return fail(&error, "could not listen to signals"),
    };
    let admin_listener = match listen((role.admin)(&config), role.admin_key).await {
        Ok(listener) => listener,
        Err(error) => return fail(&error, "could not start"),
    };
    let health = Health::default();
    let grace = (role.grace)(&config);
    let (loaded_tx, loaded) = watch::channel(Arc::new(Loaded { config: config.clone(), loaded_at: now_millis() }));
    let mut context = Context {
        config,
        loaded: loaded.clone(),
        tasks: Tasks::new(shutdown.clone()),
        shutdown: shutdown.clone(),
        health: health.clone(),
        metrics: metrics.clone(),
    };

    let admin = Admin {
        role: role.name,
        health: health.clone(),
        metrics: metrics.clone(),
        process: metrics_process::Collector::default(),
        ready: gauge!("penstock_ready", "role" => role.name),
        loaded,
        started_at: now_millis(),
    };
    admin.process.describe();
    let mut beside = Tasks::new(shutdown.clone());
    let reload = reloader(role, config_file, loaded_tx);
    beside.spawn("signals", signals.run(shutdown.clone(), abort.clone(), reload));
    let (stopping, stop_health) = (shutdown.clone(), health);
    beside.spawn("stopping", async move {
        stopping.cancelled().await;
        stop_health.stop();
        Ok(())
    });
    {
        // With the work: where all its threads are stuck, nothing says that the process is alive.
        let _threads = threads.enter();
        // Outlives the work: a probe during shutdown hears "not ready", not a closed port.
        let answer = move |request: Request<Incoming>, _peer| std::future::ready(admin.answer(&request));
        beside.spawn("admin", serve(admin_listener, answer, ADMIN_LIMITS, CancellationToken::new()));
        context.tasks.spawn("metrics-upkeep", metrics.upkeep(shutdown));
    }
    beside.beside(work(role, context, grace, abort, threads)).await
}

/// Starts the role and drives its tasks to their end.
async fn work(
    role: Role,
    context: Context,
    grace: Duration,
    abort: CancellationToken,
    threads: &tokio::runtime::Handle,
) -> ExitCode {
    let shutdown = context.shutdown.clone();
    let mut starting = tokio::task::JoinSet::new();
    starting.spawn_on(async move { (role.start)(context).await }, threads);
    let context = tokio::select! {
        Some(started) = starting.join_next() => match started.map_err(|error| StartError::from(panics::ending(&error))).flatten() {
            Ok(context) => context,
            Err(error) => {
                error!(role = role.name, error = %Chain(error.as_ref()), "could not start");
                return ExitCode::from(EXIT_UNAVAILABLE);
            }
        },
        () = shutdown.cancelled() => return ExitCode::SUCCESS,
    };
    info!(role = role.name, version = VERSION, "started");
    let code = context.tasks.run(grace, abort).await;
    info!(role = role.name, "stopped");
    code
}

/// Gives every new configuration to `apply`, until shutdown.
pub async fn follow(
    mut loaded: watch::Receiver<Arc<Loaded>>,
    shutdown: CancellationToken,
    apply: impl Fn(&Config) + Send,
) -> Outcome {
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            changed = loaded.changed() => changed?,
        }
        let loaded = loaded.borrow_and_update().clone();
        apply(&loaded.config);
    }
}

/// Reads the configuration again; a wrong one changes nothing and is said so.
fn reloader(role: Role, file: Option<PathBuf>, loaded: watch::Sender<Arc<Loaded>>) -> impl Fn() {
    describe_counter!("penstock_config_reloads_total", "Times the configuration was read again, by result.");
    let applied = counter!("penstock_config_reloads_total", "result" => "applied");
    let refused = counter!("penstock_config_reloads_total", "result" => "refused");
    move || match read(&role, file.as_deref(), &Environment::of_process()) {
        Ok(config) => {
            applied.increment(1);
            info!(sources = config.sources.len(), "the new configuration is in force");
            loaded.send_replace(Arc::new(Loaded { config, loaded_at: now_millis() }));
        }
        Err(problems) => {
            refused.increment(1);
            error!(%problems, "the new configuration is refused; the old one stays in force");
        }
    }
}

fn fail(error: &(dyn std::error::Error + 'static), what: &str) -> ExitCode {
    error!(error = %Chain(error), "{what}");
    ExitCode::from(EXIT_UNAVAILABLE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Need;

    #[test]
    fn a_process_has_the_threads_that_its_section_says() {
        let role = Role {
            name: "normalizer",
            admin: |config| config.normalizer.admin,
            admin_key: "normalizer.admin",
            grace: |_| Duration::ZERO,
            threads: |config| config.normalizer.threads,
            requirements: Requirements::every(Need::Optional),
            check: |_| Ok(()),
            start: |context| Box::pin(std::future::ready(Ok(context))),
        };
        let threads = |text: &str| {
            let config = Config::parse_for(text, "penstock.toml", &Environment::default(), role.requirements).unwrap();
            threads_of(&role, &config).unwrap().metrics().num_workers()
        };
        assert_eq!(threads(""), 1);
        assert_eq!(threads("normalizer.threads = 3"), 3);
    }

    /// One that does everything wrong: every thread of its work is in a loop that no shutdown ends.
    const STUCK: Role = Role {
        name: "stuck",
        admin: |_| SocketAddr::from(([127, 0, 0, 1], 0)),
        admin_key: "stuck.admin",
        grace: |_| Duration::from_millis(200),
        threads: |_| 1,
        requirements: Requirements::every(Need::Unused),
        check: |_| Ok(()),
        start: |mut context| {
            let shutdown = context.shutdown.clone();
            let threads = tokio::runtime::Handle::current().metrics().num_workers();
            for _ in 0..threads {
                context.tasks.spawn("stuck", async {
                    loop {
                        std::thread::sleep(Duration::from_millis(10));
                    }
                });
            }
            drop(tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_hours(1))));
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(200));
                shutdown.cancel();
            });
            Box::pin(std::future::ready(Ok(context)))
        },
    };

    #[test]
    fn the_deadline_ends_a_process_whose_every_thread_is_stuck() {
        let (told, ended) = std::sync::mpsc::channel();
        std::thread::spawn(move || told.send(format!("{:?}", run(STUCK, None))));
        let code = ended.recv_timeout(Duration::from_secs(20)).expect("the process ends");
        assert_eq!(code, format!("{:?}", ExitCode::FAILURE));
    }
}
