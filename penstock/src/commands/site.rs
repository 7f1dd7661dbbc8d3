//! Where the servers are that a command talks to: those a configuration names, or those of the running `penstock up`.
//!
//! Never a mixture: a command that took the broker from a production file and the database from a run on this machine
//! would tell a story about neither.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_nats::ServerAddr;
use clap::Args;
use persister::Store;
use runtime::config::{Config, Environment, Need, Requirements, Secret, Source};
use runtime::health::Health;
use runtime::nats::{Nats, sign_in};
use secrecy::ExposeSecret as _;
use serde::Deserialize;

use super::error::CommandError;

/// As whom a command signs in: the only user that may do everything.
const ROLE: &str = "admin";
/// How long the broker may take to greet.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a publish may wait for its acknowledgement.
pub(crate) const PUBLISH: Duration = Duration::from_secs(5);
/// Connections to the database: a look-up and a change at once.
const CONNECTIONS: u32 = 2;

/// The data folder of `penstock up` where nothing is said.
pub(crate) const DATA_DIR: &str = ".penstock";
/// Where in it `up` keeps files, if the configuration says nothing else.
pub(crate) const ATTACHMENTS: &str = "attachments";
/// The configuration of every process where nothing is said.
const HERE: &str = "penstock.toml";

/// Where to look.
#[derive(Clone, Debug, Args)]
pub(crate) struct Where {
    /// The configuration, which names NATS and PostgreSQL; without it those of the running `penstock up`, and where
    /// none runs, ./penstock.toml
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The data folder of the running `penstock up`
    #[arg(long, value_name = "FOLDER", default_value = DATA_DIR)]
    pub(crate) data_dir: PathBuf,
}

/// What is known of an installation.
#[derive(Debug)]
pub(crate) struct Site {
    nats: Option<Secret>,
    postgres: Option<Secret>,
    /// Where the first gateway is reached from here.
    pub(crate) gateway_url: Option<String>,
    /// The admin addresses of each role's processes.
    pub(crate) admin: AdminUrls,
    config_file: Option<PathBuf>,
    /// The folder of the running `up`, where that is what it is.
    run: Option<PathBuf>,
    /// Who says so, for messages.
    pub(crate) named_by: String,
}

/// Admin addresses, `http://host:port`, by role.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct AdminUrls {
    pub(crate) gateway: Vec<String>,
    pub(crate) normalizer: Vec<String>,
    pub(crate) dedup: Vec<String>,
    pub(crate) persister: Vec<String>,
}

impl AdminUrls {
    /// Each role with its addresses, in the order of the flow.
    pub(crate) fn roles(&self) -> [(&'static str, &[String]); 4] {
        [
            ("gateway", &self.gateway),
            ("normalizer", &self.normalizer),
            ("dedup", &self.dedup),
            ("persister", &self.persister),
        ]
    }
}

/// `run.json`, as far as commands need it.
#[derive(Deserialize)]
struct RunFile {
    gateway_url: Option<String>,
    nats_url: String,
    postgres_url: String,
    #[serde(default)]
    admin: AdminUrls,
    /// The configuration in use.
    #[serde(default)]
    config: Option<PathBuf>,
}

/// What a command needs of a configuration.
const URLS: Requirements = Requirements {
    nats: Need::Optional,
    postgres: Need::Optional,
    hash_key: Need::Unused,
    source_secrets: Need::Unused,
    attachments: Need::Unused,
};
/// What a command needs that plays a provider or judges a signature.
const SOURCES: Requirements = Requirements {
    nats: Need::Unused,
    postgres: Need::Unused,
    hash_key: Need::Optional,
    source_secrets: Need::Optional,
    attachments: Need::Unused,
};

/// What a command needs that only asks how things are set: it may be run where no secret can be read.
const SETTINGS: Requirements = Requirements {
    nats: Need::Unused,
    postgres: Need::Unused,
    hash_key: Need::Unused,
    source_secrets: Need::Unused,
    attachments: Need::Unused,
};

impl Where {
    /// The flags that lead another command to the same place.
    pub(crate) fn flags(&self) -> String {
        let config = self.config.as_ref().map(|file| format!(" --config {}", file.display()));
        let data_dir =
            (self.data_dir != Path::new(DATA_DIR)).then(|| format!(" --data-dir {}", self.data_dir.display()));
        [config, data_dir].into_iter().flatten().collect()
    }

    /// Finds out where everything is; connects to nothing.
    pub(crate) fn site(&self) -> Result<Site, CommandError> {
        self.site_in(&Environment::of_process(), Path::new(HERE))
    }

    /// `here`: the configuration that the roles take where none is named.
    fn site_in(&self, env: &Environment, here: &Path) -> Result<Site, CommandError> {
        // A folder that was named says more than what the environment happens to hold.
        let folder_named = self.config.is_none() && self.data_dir != Path::new(DATA_DIR);
        if let (true, Some(run)) = (folder_named, self.run_file()?) {
            return Ok(self.site_of_run(run));
        }
        let here = (self.config.is_none() && here.is_file()).then_some(here);
        let of_here = || here.map_or(Ok(None), |here| named(Some(here), env));
        // Without a file there may still be PENSTOCK__NATS__URL, as in a container.
        if let Some(site) = named(self.config.as_deref(), env)? {
            return Ok(of_here()?.unwrap_or(site));
        }
        match self.run_file()? {
            Some(run) => Ok(self.site_of_run(run)),
            None => of_here()?.ok_or_else(|| self.nothing_named()),
        }
    }

    /// The configuration to be checked: the one that `penstock up` would take here, or else that of the running one.
    pub(crate) fn configuration(&self) -> Result<PathBuf, CommandError> {
        let here = || Path::new(HERE).is_file().then(|| PathBuf::from(HERE));
        if let Some(file) = self.config.clone().or_else(here) {
            return Ok(file);
        }
        let run = self.run_file()?.and_then(|run| run.config);
        let next = "name one with --config FILE; docs/configuration.md begins with the smallest that can be used";
        run.ok_or_else(|| CommandError::usage("there is no penstock.toml here, and no `penstock up` runs", next))
    }

    /// The configuration with its sources and their secrets, for a command that needs no server: that of the installation
    /// that is named, or else the one that would be checked here.
    pub(crate) fn sources(&self) -> Result<Config, CommandError> {
        match self.site() {
            Ok(site) if site.config_file().is_some() => site.config(),
            _ => sources_of(&self.configuration()?),
        }
    }

    fn run_file(&self) -> Result<Option<RunFile>, CommandError> {
        let path = self.data_dir.join("run.json");
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                let what = format!("{} cannot be read", path.display());
                return Err(CommandError::usage(what, "run this as the user who runs `penstock up`").because(error));
            }
        };
        serde_json::from_slice(&bytes).map(Some).map_err(|error| {
            let what = format!("{} is not what `penstock up` writes", path.display());
            CommandError::usage(what, "start `penstock up` again; it writes the file anew").because(error)
        })
    }

    fn site_of_run(&self, run: RunFile) -> Site {
        Site {
            nats: Some(run.nats_url.into()),
            postgres: Some(run.postgres_url.into()),
            gateway_url: run.gateway_url,
            admin: run.admin,
            config_file: self.config.clone().or(run.config),
            run: Some(self.data_dir.clone()),
            named_by: self.data_dir.join("run.json").display().to_string(),
        }
    }

    fn nothing_named(&self) -> CommandError {
        let what =
            format!("nothing says where NATS and PostgreSQL are: no `penstock up` runs in {}", self.data_dir.display());
        let next = "start `penstock up` here (or name its folder: --data-dir FOLDER), or name a configuration with \
                    nats.url and postgres.url: --config FILE";
        CommandError::usage(what, next)
    }
}

/// What a configuration, or the environment alone, says; `None` where it names no server.
fn named(file: Option<&Path>, env: &Environment) -> Result<Option<Site>, CommandError> {
    let config = Config::load_for(file, env, URLS).map_err(|problems| CommandError::config(&problems))?;
    let names = config.nats.url.is_some() || config.postgres.url.is_some();
    Ok(names.then(|| Site::of_config(&config, file.map(Path::to_owned))))
}

impl Site {
    fn of_config(config: &Config, file: Option<PathBuf>) -> Self {
        let url = |address: SocketAddr| vec![format!("http://{}", reachable(address))];
        Self {
            nats: config.nats.url.clone(),
            postgres: config.postgres.url.clone(),
            gateway_url: Some(format!("http://{}", reachable(config.gateway.listen))),
            admin: AdminUrls {
                gateway: url(config.gateway.admin),
                normalizer: url(config.normalizer.admin),
                dedup: url(config.dedup.admin),
                persister: url(config.persister.admin),
            },
            named_by: file.as_ref().map_or_else(|| "the environment".to_owned(), |file| file.display().to_string()),
            config_file: file,
            run: None,
        }
    }

    /// The configuration in use, where there is a file of it.
    pub(crate) fn config_file(&self) -> Option<&Path> {
        self.config_file.as_deref()
    }

    /// The configuration without its secrets; `None` where no file of it is known. One that is known and cannot be read is
    /// an error: who went on without it would tell what is not so.
    pub(crate) fn settings(&self) -> Result<Option<Config>, CommandError> {
        self.config_file.as_deref().map(|file| load(file, SETTINGS)).transpose()
    }

    /// The configuration with its sources and their secrets.
    pub(crate) fn config(&self) -> Result<Config, CommandError> {
        let Some(file) = &self.config_file else {
            let next = "name the configuration that the gateway runs with: --config FILE";
            return Err(CommandError::usage("this needs the sources of a configuration, and none is known", next));
        };
        let mut config = sources_of(file)?;
        if config.dedup.hash_key.is_none() {
            config.dedup.hash_key = self.run.as_deref().and_then(drawn_hash_key);
        }
        if let (None, Some(folder)) = (&config.attachments.store, &self.run) {
            config.attachments.store =
                std::path::absolute(folder.join(ATTACHMENTS)).ok().map(|at| format!("file://{}", at.display()));
        }
        Ok(config)
    }

    /// Whether this is a running `up`, which decides some things by itself.
    pub(crate) fn is_run(&self) -> bool {
        self.run.is_some()
    }

    /// Connects to the broker, or says why not within seconds.
    pub(crate) async fn nats(&self) -> Result<Nats, CommandError> {
        let url = self.nats.as_ref().ok_or_else(|| self.not_named("nats.url"))?;
        let unreachable = || {
            let next =
                format!("look whether it runs and whether its address and password in {} are right", self.named_by);
            CommandError::unreachable("cannot connect to NATS", next)
        };
        // The connection itself goes on trying for ever, which a worker wants and a person does not: so a first one
        // that does not, and that knows the reason.
        let addresses = url.expose_secret().split(',').filter_map(|address| address.trim().parse().ok());
        let addresses: Vec<ServerAddr> = addresses.collect();
        let first = sign_in(&addresses).connection_timeout(CONNECT).connect(addresses);
        match tokio::time::timeout(CONNECT, first).await {
            Ok(Ok(client)) => drop(client),
            Ok(Err(error)) => return Err(unreachable().because(error)),
            Err(elapsed) => return Err(unreachable().because(elapsed)),
        }
        let settings = runtime::config::Nats { url: Some(url.clone()), replicas: 1, group_commit: false };
        let health = Health::default().dependency("nats");
        let nats = Nats::connect(&settings, ROLE, PUBLISH, health).await.map_err(|e| unreachable().because(e))?;
        match tokio::time::timeout(CONNECT, nats.client().flush()).await {
            Ok(Ok(())) => Ok(nats),
            Ok(Err(error)) => Err(unreachable().because(error)),
            Err(elapsed) => Err(unreachable().because(elapsed)),
        }
    }

    /// The database, asked once whether it is there.
    pub(crate) async fn store(&self) -> Result<Store, CommandError> {
        let unreachable = |error| {
            let next = format!("look whether it runs and whether its URL in {} is right", self.named_by);
            CommandError::unreachable("cannot connect to PostgreSQL", next).because(error)
        };
        let store = Store::connect(self.postgres_url()?, CONNECTIONS).await.map_err(unreachable)?;
        store.ping().await.map_err(unreachable)?;
        Ok(store)
    }

    /// The database's address, with its password.
    pub(crate) fn postgres_url(&self) -> Result<&str, CommandError> {
        Ok(self.postgres.as_ref().ok_or_else(|| self.not_named("postgres.url"))?.expose_secret())
    }

    fn not_named(&self, key: &str) -> CommandError {
        CommandError::usage(format!("{} does not name {key}", self.named_by), format!("add {key} to it"))
    }
}

fn sources_of(file: &Path) -> Result<Config, CommandError> {
    load(file, SOURCES)
}

fn load(file: &Path, requirements: Requirements) -> Result<Config, CommandError> {
    let config = Config::load_for(Some(file), &Environment::of_process(), requirements);
    config.map_err(|problems| CommandError::config(&problems))
}

/// A source of the configuration, by its name.
pub(crate) fn source_named<'c>(config: &'c Config, name: &str) -> Result<&'c Source, CommandError> {
    config.sources.iter().find(|source| source.name == name).ok_or_else(|| {
        let names: Vec<&str> = config.sources.iter().map(|source| source.name.as_str()).collect();
        let what = format!("{} has no source {name:?}", config.file);
        CommandError::usage(what, format!("there are: {}", names.join(", ")))
    })
}

/// The key that `up` drew, where the configuration names none.
fn drawn_hash_key(data_dir: &Path) -> Option<Secret> {
    #[derive(Deserialize)]
    struct Drawn {
        dedup_hash_key: String,
    }
    let bytes = std::fs::read(data_dir.join("secrets.json")).ok()?;
    serde_json::from_slice::<Drawn>(&bytes).ok().map(|drawn| drawn.dedup_hash_key.into())
}

/// Where a client on this machine reaches an address that a process listens on.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(folder: &Path, config: Option<&str>) -> Where {
        let config = config.map(|text| {
            let path = folder.join("own.toml");
            std::fs::write(&path, text).unwrap();
            path
        });
        Where { config, data_dir: folder.to_owned() }
    }

    fn running(folder: &Path) {
        let run = r#"{"gateway_url": "http://127.0.0.1:1", "nats_url": "nats://run", "postgres_url": "postgres://run",
                      "admin": {"gateway": ["http://127.0.0.1:2"]}, "pids": {}}"#;
        std::fs::write(folder.join("run.json"), run).unwrap();
    }

    #[test]
    fn a_running_up_is_found_by_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        running(folder.path());
        let site = place(folder.path(), None).site_in(&Environment::default(), Path::new("/none")).unwrap();
        assert_eq!(site.nats.unwrap().expose_secret(), "nats://run");
        assert_eq!(site.admin.gateway, ["http://127.0.0.1:2"]);
    }

    #[test]
    fn a_configuration_that_names_a_server_is_never_mixed_with_a_run() {
        let folder = tempfile::tempdir().unwrap();
        running(folder.path());
        let site = place(folder.path(), Some("nats.url = 'nats://own'"))
            .site_in(&Environment::default(), Path::new("/none"))
            .unwrap();
        assert_eq!(site.nats.as_ref().unwrap().expose_secret(), "nats://own");
        assert_eq!(site.postgres_url().unwrap_err().exit_code(), 64);
    }

    #[test]
    fn a_configuration_without_servers_is_that_of_a_run() {
        let folder = tempfile::tempdir().unwrap();
        running(folder.path());
        let site = place(folder.path(), Some("")).site_in(&Environment::default(), Path::new("/none")).unwrap();
        assert_eq!(site.nats.unwrap().expose_secret(), "nats://run");
        assert_eq!(site.config_file.unwrap(), folder.path().join("own.toml"));
    }

    #[test]
    fn the_configuration_is_the_one_that_up_runs_with() {
        let folder = tempfile::tempdir().unwrap();
        let other = folder.path().join("other.toml");
        std::fs::write(&other, "[[sources]]\nname = 'a'\nchannel = 'form'\nprovider = 'generic'").unwrap();
        let run = serde_json::json!({ "nats_url": "nats://run", "postgres_url": "postgres://run", "config": other });
        std::fs::write(folder.path().join("run.json"), run.to_string()).unwrap();
        // Neither is what `up` was told.
        std::fs::write(folder.path().join("penstock.toml"), "nats.url = 'nats://here'").unwrap();
        let here = folder.path().join("penstock.toml");
        let site = place(folder.path(), None).site_in(&Environment::default(), &here).unwrap();
        assert_eq!(site.nats.as_ref().unwrap().expose_secret(), "nats://run");
        assert_eq!(site.config().unwrap().sources.first().unwrap().name, "a");
    }

    #[test]
    fn where_no_up_runs_the_configuration_of_the_roles_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path().join("penstock.toml");
        std::fs::write(&here, "nats.url = 'nats://here'").unwrap();
        let site = place(folder.path(), None).site_in(&Environment::default(), &here).unwrap();
        assert_eq!(site.nats.as_ref().unwrap().expose_secret(), "nats://here");
        assert_eq!(site.config_file.unwrap(), here);
        let env = [("PENSTOCK__NATS__URL", "nats://environment")].into_iter().collect();
        let site = place(folder.path(), None).site_in(&env, &here).unwrap();
        assert_eq!(site.nats.unwrap().expose_secret(), "nats://environment");
        assert_eq!(site.config_file.unwrap(), here);
        // One that is named and names no server is not filled up from another.
        assert!(place(folder.path(), Some("")).site_in(&Environment::default(), &here).is_err());
    }

    #[test]
    fn the_key_that_up_drew_is_used_where_the_configuration_names_none() {
        let folder = tempfile::tempdir().unwrap();
        running(folder.path());
        std::fs::write(folder.path().join("secrets.json"), r#"{"dedup_hash_key": "drawn", "other": 1}"#).unwrap();
        let key = |config: &str| {
            let site = place(folder.path(), Some(config)).site_in(&Environment::default(), Path::new("/none")).unwrap();
            site.config().unwrap().dedup.hash_key.unwrap().expose_secret().to_owned()
        };
        assert_eq!(key(""), "drawn");
        assert_eq!(key("dedup.hash_key = { value = 'own' }"), "own");
    }

    #[test]
    fn settings_are_those_of_the_file_or_none_and_never_none_because_the_file_is_broken() {
        let folder = tempfile::tempdir().unwrap();
        running(folder.path());
        let settings = |config| {
            place(folder.path(), config).site_in(&Environment::default(), Path::new("/none")).unwrap().settings()
        };
        assert!(settings(None).unwrap().is_none());
        let source = "[[sources]]\nname = 'a'\nchannel = 'sms'\nprovider = 'twilio'\n\
                      secrets = [{ env = 'NOT_HERE' }]\nretention = '30d'";
        let read = settings(Some(source)).unwrap().unwrap();
        assert!(read.sources.first().unwrap().retention.is_some(), "whatever secrets are there");
        for broken in ["[[sources]]\nname = 'a'", "retention.channels.sms = '30'", "retention = ["] {
            let file = folder.path().join("broken.toml");
            std::fs::write(&file, broken).unwrap();
            let mut site = place(folder.path(), None).site_in(&Environment::default(), Path::new("/none")).unwrap();
            site.config_file = Some(file);
            assert_eq!(site.settings().unwrap_err().exit_code(), 64, "{broken}");
        }
        let mut site = place(folder.path(), None).site_in(&Environment::default(), Path::new("/none")).unwrap();
        site.config_file = Some(folder.path().join("moved.toml"));
        assert_eq!(site.settings().unwrap_err().exit_code(), 64);
    }

    #[test]
    fn where_nothing_is_named_both_ways_out_are() {
        let folder = tempfile::tempdir().unwrap();
        let error = place(folder.path(), None).site_in(&Environment::default(), Path::new("/none")).unwrap_err();
        assert_eq!(error.exit_code(), 64);
        assert!(error.next().contains("--data-dir") && error.next().contains("--config"), "{}", error.next());
    }
}
