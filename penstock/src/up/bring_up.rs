//! The order of an `up`, from two servers to a row in a table, and what it does about what happens meanwhile.

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;

use super::data_dir::DataDir;
use super::error::UpError;
use super::kind::Kind;
use super::program::Program;
use super::roles::{Bind, Role, RoleProcess};
use super::run_file::RunFile;
use super::secrets::Secrets;
use super::settings::Settings;
use super::site::{Site, StepError};
use super::supervisor::{Event, Supervisor};
use super::{Config, Wish, demo, migrate, prepare, provision, report, stream_sizes};
use crate::commands::site::ATTACHMENTS;
use crate::servers::console::Console;
use crate::servers::nats::User;
use crate::servers::postgres::PostgresError;
use crate::servers::{Env, ServerError, files};

const POLL: Duration = Duration::from_millis(40);
/// Reading back large streams or a write-ahead log after a crash takes its time.
const SERVERS_LIMIT: Duration = Duration::from_mins(5);
const ROLES_LIMIT: Duration = Duration::from_mins(1);

/// One `up` at work. Without `Debug`: it holds credentials.
pub(crate) struct Up {
    wish: Wish,
    env: Env,
    data: DataDir,
    console: Console,
    secrets: Secrets,
    settings: Settings,
    config: Config,
    pub(crate) supervisor: Supervisor,
    nats_url: String,
    postgres_url: String,
    postgres_elsewhere: Option<PathBuf>,
    /// Where the defaults do not fit on this disk.
    stream_sizes: Vec<(&'static str, u64)>,
    /// `run.json` is there, so it has to be kept current.
    announced: bool,
}

impl Up {
    #[expect(clippy::too_many_arguments, reason = "called once; each is a thing of its own")]
    pub(crate) fn new(
        wish: Wish,
        env: Env,
        data: DataDir,
        console: Console,
        secrets: Secrets,
        settings: Settings,
        config: Config,
        supervisor: Supervisor,
    ) -> Self {
        Self {
            wish,
            env,
            data,
            console,
            secrets,
            settings,
            config,
            supervisor,
            nats_url: String::new(),
            postgres_url: String::new(),
            postgres_elsewhere: None,
            stream_sizes: Vec::new(),
            announced: false,
        }
    }

    /// Everything, until something cannot go on; ends without an error only after a demonstration that is to be the end.
    pub(crate) async fn work(&mut self) -> Result<(), UpError> {
        self.start_servers().await?;
        let site = self.site();
        if !self.wish.infra_only {
            self.step("provisioning NATS", Box::pin(provision::provision(&site))).await?;
            self.step("migrating PostgreSQL", Box::pin(migrate::migrate(&site))).await?;
            self.start_roles().await?;
        }
        let run = self.announce()?;
        if self.wish.demo {
            let console = self.console.clone();
            let complete = self.beside("the demonstration", demo::demo(&site, &run, &console)).await?;
            match (complete, self.wish.exit_after_demo) {
                (true, true) => return Ok(()),
                (false, true) => return Err(UpError::DemoWrong),
                (true, false) => {}
                (false, false) => self.console.line("  the demonstration did not end as it must: see the logs"),
            }
        }
        loop {
            let event = self.supervisor.next().await;
            self.take(event)?;
        }
    }

    async fn start_servers(&mut self) -> Result<(), UpError> {
        self.console.line("servers");
        let (given_nats, given_postgres) = (self.settings.nats_url(&self.env)?, self.settings.postgres_url(&self.env)?);
        let nats = async {
            match &given_nats {
                Some(_) => Ok(None),
                None => prepare::nats(&self.data, &self.secrets, &self.env, &self.console).await.map(Some),
            }
        };
        let postgres = async {
            match &given_postgres {
                Some(_) => Ok(None),
                None => prepare::postgres(&self.data, &self.secrets, &self.env, &self.console).await.map(Some),
            }
        };
        // Both at once: a first start spends its time downloading one and making the files of the other.
        let (nats, postgres) = futures::try_join!(nats, postgres)?;

        let mut started = Vec::new();
        if let Some(server) = nats {
            started.push(self.start(Program::Nats(server))?);
        }
        if let Some((server, elsewhere)) = postgres {
            self.postgres_elsewhere = elsewhere;
            started.push(self.start(Program::Postgres(server))?);
        }
        if given_nats.is_none() {
            self.stream_sizes = stream_sizes::for_disk_of(&self.data.at("nats"))
                .map_err(UpError::system("looking how much of the disk is free"))?;
        }
        self.until_ready("waiting for the servers", started, SERVERS_LIMIT).await?;
        self.note_urls(given_nats, given_postgres).await
    }

    /// Only now: a port that was taken at the start was changed.
    async fn note_urls(&mut self, nats: Option<String>, postgres: Option<String>) -> Result<(), UpError> {
        self.nats_url = nats.unwrap_or_default();
        self.postgres_url = postgres.unwrap_or_default();
        for (program, _) in self.supervisor.running() {
            match program {
                Program::Nats(server) => self.nats_url = server.url(User::Admin),
                Program::Postgres(server) => {
                    self.postgres_url = server.url();
                    let created: Result<(), PostgresError> = server.create_database().await;
                    created.map_err(ServerError::from)?;
                }
                Program::Role(_) => {}
                #[cfg(test)]
                Program::Script(_) => {}
            }
        }
        Ok(())
    }

    async fn start_roles(&mut self) -> Result<(), UpError> {
        let program = std::env::current_exe().map_err(UpError::system("finding this program"))?;
        let mut started = Vec::new();
        for role in Role::ALL {
            let listen = if role == Role::Gateway { Some(self.settings.address(role, "listen")?) } else { None };
            let admin = self.settings.address(role, "admin")?;
            for number in 1..=self.wish.scale.of(role) {
                let ports = self.supervisor.ports();
                let mut choose = |configured| Bind::choose(configured, number, ports).map_err(ServerError::Port);
                let process = RoleProcess {
                    role,
                    number,
                    program: program.clone(),
                    config: self.config.path.clone(),
                    admin: choose(admin)?,
                    listen: listen.map(choose).transpose()?,
                    overrides: self.overrides_for(role),
                };
                started.push(self.start(Program::Role(process))?);
            }
        }
        self.until_ready("waiting for the roles", started, ROLES_LIMIT).await
    }

    /// Only what the configuration leaves open.
    fn overrides_for(&self, role: Role) -> Env {
        let mut overrides = self.common_overrides();
        if role != Role::Persister {
            overrides.remove("PENSTOCK__POSTGRES__URL");
        }
        for (program, _) in self.supervisor.running() {
            let (key, url) = match program {
                Program::Nats(server) => ("PENSTOCK__NATS__URL", server.url(role.user())),
                Program::Postgres(server) if role == Role::Persister => {
                    ("PENSTOCK__POSTGRES__URL", server.persister_url())
                }
                _ => continue,
            };
            overrides.insert(key.to_owned(), url);
        }
        overrides
    }

    fn common_overrides(&self) -> Env {
        let mut overrides = Env::new();
        let mut offer = |section: &str, key: &str, value: String| {
            if !self.settings.has(section, key) {
                overrides.insert(format!("PENSTOCK__{}__{}", section.to_uppercase(), key.to_uppercase()), value);
            }
        };
        offer("nats", "url", self.nats_url.clone());
        offer("postgres", "url", self.postgres_url.clone());
        offer("dedup", "hash_key", self.secrets.dedup_hash_key.clone());
        offer("attachments", "store", format!("file://{}", self.data.at(ATTACHMENTS).display()));
        for (stream, bytes) in &self.stream_sizes {
            offer("streams", stream, bytes.to_string());
        }
        overrides
    }

    fn site(&self) -> Site {
        let mut env = self.env.clone();
        env.extend(self.common_overrides());
        Site { config: self.config.path.clone(), env, postgres_url: self.postgres_url.clone() }
    }

    fn start(&mut self, program: Program) -> Result<usize, UpError> {
        self.supervisor.start(program).map_err(UpError::system("starting a process"))
    }

    /// A step with a line of its own, while the children are watched.
    async fn step(
        &mut self,
        doing: &'static str,
        work: impl Future<Output = Result<String, StepError>>,
    ) -> Result<(), UpError> {
        let console = self.console.clone();
        let line = console.step(doing.to_owned());
        let account = self.beside(doing, work).await?;
        line.done(&account);
        Ok(())
    }

    /// Does something while the children are watched.
    async fn beside<T>(
        &mut self,
        doing: &'static str,
        work: impl Future<Output = Result<T, StepError>>,
    ) -> Result<T, UpError> {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                result = &mut work => return result.map_err(|source| UpError::Step { doing, source }),
                event = self.supervisor.next() => self.take(event)?,
            }
        }
    }

    async fn until_ready(&mut self, what: &str, mut waiting: Vec<usize>, limit: Duration) -> Result<(), UpError> {
        let console = self.console.clone();
        let step = console.step(what.to_owned());
        let begun = Instant::now();
        while let Some(&index) = waiting.last() {
            if self.supervisor.is_ready(index).await {
                waiting.pop();
                continue;
            }
            if begun.elapsed() > limit {
                return Err(self.not_ready(index, limit));
            }
            step.still(what);
            tokio::select! {
                event = self.supervisor.next() => self.take(event)?,
                () = tokio::time::sleep(POLL) => {}
            }
        }
        step.done("ready");
        Ok(())
    }

    fn not_ready(&self, index: usize, limit: Duration) -> UpError {
        let (name, log, tail) = self.supervisor.describe(index);
        let kind = self.supervisor.running().nth(index).map_or(Kind::Role, |(program, _)| program.kind());
        UpError::NotReady { name, kind, seconds: limit.as_secs(), log, tail }
    }

    /// Says what happened to a child, and keeps `run.json` true.
    fn take(&mut self, event: Event) -> Result<(), UpError> {
        match event {
            Event::Died { name, how, again_in } => {
                let soon = again_in.as_secs_f32();
                self.console.line(&format!("{name} has died ({how}); started again in {soon:.1} s"));
            }
            Event::Restarted { name } => self.console.line(&format!("{name} was started again")),
            Event::GaveUp(end) => return Err(UpError::GaveUp(end)),
        }
        if self.announced { self.write_run_file().map(drop) } else { Ok(()) }
    }

    fn write_run_file(&self) -> Result<RunFile, UpError> {
        let tls = self.settings.has("gateway", "tls");
        let run = RunFile::now(&self.supervisor, &self.nats_url, &self.postgres_url, &self.config.path, tls);
        run.write(&self.data.at("run.json")).map_err(UpError::system("writing run.json"))?;
        Ok(run)
    }

    fn announce(&mut self) -> Result<RunFile, UpError> {
        let run = self.write_run_file()?;
        self.announced = true;
        let monitor_url = self.supervisor.running().find_map(|(program, _)| match program {
            Program::Nats(server) => Some(server.monitor_url()),
            _ => None,
        });
        let places = report::Places {
            data: self.data.path(),
            config: &self.config.path,
            monitor_url,
            postgres_elsewhere: self.postgres_elsewhere.as_deref(),
            demo_config: self.config.made_by_up,
        };
        report::print(&run, &places);
        Ok(run)
    }

    /// What is no longer true must not be read.
    pub(crate) fn forget_run_file(&mut self) {
        self.announced = false;
        files::remove(&self.data.at("run.json")).ok();
    }
}
