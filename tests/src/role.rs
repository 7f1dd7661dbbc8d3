//! A role run by a test itself, as a process of its own that can be killed, stopped and started again.
//!
//! Its ports stay the same over restarts, as a service's do.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::child::Child;
use crate::client::Request;
use crate::{binary, eventually, ports};

const READY: Duration = Duration::from_mins(1);

/// One of the four.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// HTTP in, RAW out.
    Gateway,
    /// RAW in, CANONICAL out.
    Normalizer,
    /// CANONICAL in, UNIQUE and DUPLICATES out.
    Dedup,
    /// UNIQUE and DUPLICATES in, PostgreSQL out.
    Persister,
}

impl Role {
    /// In the order of the flow.
    pub const ALL: [Self; 4] = [Self::Gateway, Self::Normalizer, Self::Dedup, Self::Persister];

    /// The subcommand, and the section of the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Normalizer => "normalizer",
            Self::Dedup => "dedup",
            Self::Persister => "persister",
        }
    }
}

/// A process of a role, or the place of one that is down.
#[derive(Debug)]
pub struct RoleProcess {
    /// Which.
    pub role: Role,
    name: String,
    listen: String,
    admin: String,
    program: PathBuf,
    /// Words before the program.
    before: Vec<String>,
    environment: Vec<(String, String)>,
    config: PathBuf,
    log: PathBuf,
    child: Option<Child>,
}

impl RoleProcess {
    /// Starts one. `number` tells it from others of its role.
    pub fn start(role: Role, number: usize, config: &Path, logs: &Path, servers: &[(String, String)]) -> Self {
        Self::new(role, config, servers).placed(number, logs)
    }

    /// Starts another one of its role, with the same program and environment.
    #[must_use]
    pub fn beside(&self, number: usize, logs: &Path) -> Self {
        let like = Self::new(self.role, &self.config, &self.environment);
        Self { program: self.program.clone(), before: self.before.clone(), ..like }.placed(number, logs)
    }

    fn new(role: Role, config: &Path, environment: &[(String, String)]) -> Self {
        Self {
            role,
            name: String::new(),
            listen: String::new(),
            admin: String::new(),
            program: binary::penstock().to_owned(),
            before: Vec::new(),
            environment: environment.to_vec(),
            config: config.to_owned(),
            log: PathBuf::new(),
            child: None,
        }
    }

    /// Gives it a name, a log and ports of its own, and starts it.
    fn placed(mut self, number: usize, logs: &Path) -> Self {
        self.name = format!("{}-{number}", self.role.name());
        self.log = logs.join(format!("{}.log", self.name));
        (self.listen, self.admin) = (ports::free_address(), ports::free_address());
        let (listen, admin) = (self.listen.clone(), self.admin.clone());
        self.set(&format!("PENSTOCK__{}__ADMIN", self.role.name().to_uppercase()), Some(&admin));
        if self.role == Role::Gateway {
            self.set("PENSTOCK__GATEWAY__LISTEN", Some(&listen));
        }
        self.start_again();
        self
    }

    /// From its next start on it is this program.
    pub fn becomes(&mut self, program: &Path) {
        program.clone_into(&mut self.program);
    }

    /// From its next start on a shell does this first, and becomes the program then: limits, redirections.
    pub fn after(&mut self, script: Option<&str>) {
        let shell = |script: &str| ["sh".to_owned(), "-c".to_owned(), format!("{script}\nexec \"$0\" \"$@\"")];
        self.before = script.map(shell).into_iter().flatten().collect();
    }

    /// From its next start on it is in another network, with this address; `before` is what takes a command there.
    pub fn moves(&mut self, before: Vec<String>, address: &str) {
        self.before = before;
        for place in [&mut self.listen, &mut self.admin] {
            let port = place.rsplit_once(':').map(|(_, port)| port.to_owned()).expect("a port");
            *place = format!("{address}:{port}");
        }
        let (admin, listen) = (self.admin.clone(), self.listen.clone());
        self.set(&format!("PENSTOCK__{}__ADMIN", self.role.name().to_uppercase()), Some(&admin));
        if self.role == Role::Gateway {
            self.set("PENSTOCK__GATEWAY__LISTEN", Some(&listen));
        }
    }

    /// From its next start on a variable of its environment is this; or is not there.
    pub fn set(&mut self, name: &str, value: Option<&str>) {
        self.environment.retain(|(known, _)| known != name);
        self.environment.extend(value.map(|value| (name.to_owned(), value.to_owned())));
    }

    /// Starts it where it is down.
    pub fn start_again(&mut self) {
        if self.child.is_some() {
            return;
        }
        let mut words = self.before.iter().map(OsStr::new).chain([self.program.as_os_str()]);
        let mut command = Command::new(words.next().expect("the program at least"));
        command
            .args(words)
            .arg(self.role.name())
            .arg("--config")
            .arg(&self.config)
            .envs(self.environment.iter().cloned());
        self.child = Some(Child::start(&self.name, &mut command, &self.log, Signal::SIGKILL));
    }

    /// Where providers are served; the gateway's only.
    pub fn url(&self) -> String {
        format!("http://{}", self.listen)
    }

    /// Where its health and metrics are.
    pub fn admin_url(&self) -> String {
        format!("http://{}", self.admin)
    }

    /// Whether it says that it can do its job now.
    pub async fn is_ready(&self) -> Result<(), String> {
        let answer = Request::get("/readyz").send(&self.admin_url()).await.map_err(|error| error.to_string())?;
        crate::eventually::ensure(answer.status == 200, || format!("{}: {}", answer.status, answer.text()))
    }

    /// Waits until it says so. One that ends meanwhile fails the test at once.
    pub async fn ready(&mut self) {
        let what = format!("{} ready ({})", self.name, self.log.display());
        eventually(READY, &what, async || {
            if let Some(child) = &mut self.child
                && let Some(status) = child.exited()
            {
                panic!("{} ended with {status} instead of becoming ready\n{}", self.name, child.tail());
            }
            self.is_ready().await
        })
        .await;
    }

    /// The process, which has to be there.
    pub fn child(&mut self) -> &mut Child {
        self.child.as_mut().expect("the role runs")
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.child = None;
    }

    /// SIGTERM; expects it to finish what is in hand and exit with 0.
    pub async fn stop(&mut self, within: Duration) {
        if let Some(mut child) = self.child.take() {
            child.stop(within).await;
        }
    }

    /// [`Self::stop`] where there is no runtime. Tells what was wrong.
    pub(crate) fn stop_blocking(&mut self, within: Duration) -> Result<(), String> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        match child.stop_blocking(within) {
            Some(status) if status.code() == Some(0) => Ok(()),
            Some(status) => Err(format!("{} ended with {status} after SIGTERM\n{}", self.name, child.tail())),
            None => Err(format!("{} did not end within {within:?} after SIGTERM\n{}", self.name, child.tail())),
        }
    }
}
