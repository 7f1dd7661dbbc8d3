//! A nats-server of a test's own, beside that of `penstock up`: one whose configuration, disk or neighbours the test
//! changes. It has the users of `deploy/`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::binary;
use crate::child::Child;
use crate::client::Request;
use crate::eventually::{ensure, eventually};
use crate::ports;

const START: Duration = Duration::from_mins(1);
const USERS: [&str; 5] = ["admin", "gateway", "normalizer", "dedup", "persister"];

/// A server, or the place of one that is down. Its ports stay the same.
#[derive(Debug)]
pub struct NatsServer {
    /// Unique in its cluster.
    pub name: String,
    program: PathBuf,
    folder: PathBuf,
    port: u16,
    monitor: u16,
    child: Option<Child>,
}

/// The nats-server that a process runs: the one that `penstock up` has found or fetched.
pub fn program_of(pid: i32) -> PathBuf {
    std::fs::read_link(format!("/proc/{pid}/exe")).expect("the program of a process that runs")
}

impl NatsServer {
    /// A place for one in `folder`. `jetstream` goes into the block of that name, `more` after it.
    pub fn new(program: &Path, folder: &Path, name: &str, jetstream: &str, more: &str) -> Self {
        std::fs::create_dir_all(folder).expect("a folder for the server");
        let server = Self {
            name: name.to_owned(),
            program: program.to_owned(),
            folder: folder.to_owned(),
            port: ports::free(),
            monitor: ports::free(),
            child: None,
        };
        std::fs::copy(binary::root().join("deploy/nats-users.conf"), folder.join("nats-users.conf")).expect("a copy");
        server.write(jetstream, more);
        server
    }

    /// Writes its configuration anew, for its next start or reload.
    pub fn write(&self, jetstream: &str, more: &str) {
        let Self { name, folder, port, monitor, .. } = self;
        let store = folder.join("store");
        let text = format!(
            "server_name: {name}\nlisten: \"127.0.0.1:{port}\"\nhttp: \"127.0.0.1:{monitor}\"\n\
             jetstream: {{ store_dir: \"{}\", {jetstream} }}\ninclude \"./nats-users.conf\"\n{more}\n",
            store.display()
        );
        std::fs::write(folder.join("nats.conf"), text).expect("the server's configuration is written");
    }

    /// Gives a user another password. In force from the next reload or start.
    pub fn set_password(&self, user: &str, password: &str) {
        let path = self.folder.join("nats-users.conf");
        let text = std::fs::read_to_string(&path).expect("the users");
        let (before, rest) = text.split_once(&format!("user: {user}, password: ")).expect("the user");
        let end = rest.find([',', '\n']).expect("the end of a password");
        let text = format!("{before}user: {user}, password: {password}{}", &rest[end..]);
        std::fs::write(path, text).expect("the users are written");
    }

    /// Starts it where it is down, and does not wait.
    pub fn start(&mut self) {
        if self.child.is_none() {
            let mut command = Command::new(&self.program);
            command.arg("--config").arg(self.folder.join("nats.conf")).current_dir(&self.folder);
            for user in USERS {
                command.env(format!("NATS_{}_PASSWORD", user.to_uppercase()), password(user));
            }
            let log = self.folder.join("nats.log");
            self.child = Some(Child::start(&self.name, &mut command, &log, Signal::SIGKILL));
        }
    }

    /// Waits until it says that it is well.
    pub async fn well(&self) {
        eventually(START, &format!("{} is well", self.name), async || {
            let answer = self.ask("/healthz").await?;
            ensure(answer["status"] == "ok", || answer.to_string())
        })
        .await;
    }

    /// What its monitoring says.
    pub async fn ask(&self, path: &str) -> Result<Value, String> {
        let url = format!("http://127.0.0.1:{}", self.monitor);
        let answer = Request::get(path).send(&url).await.map_err(|error| error.to_string())?;
        serde_json::from_slice(&answer.body).map_err(|error| format!("{error}: {answer}"))
    }

    /// Whether a client of this name is connected to it.
    pub async fn serves(&self, client: &str) -> bool {
        let clients = self.ask("/connz?limit=1024").await.unwrap_or_default();
        clients["connections"].as_array().is_some_and(|all| all.iter().any(|one| one["name"] == client))
    }

    /// For an administrator.
    pub fn url(&self) -> String {
        self.url_of("admin", &password("admin"))
    }

    /// For another user.
    pub fn url_of(&self, user: &str, password: &str) -> String {
        format!("nats://{user}:{password}@127.0.0.1:{}", self.port)
    }

    /// Sends a signal, if it runs.
    pub fn signal(&mut self, signal: Signal) {
        if let Some(child) = &mut self.child {
            child.signal(signal);
        }
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.child = None;
    }

    /// SIGTERM, and its end.
    pub async fn stop(&mut self, within: Duration) {
        if let Some(mut child) = self.child.take() {
            child.signal(Signal::SIGTERM);
            child.end(within).await;
        }
    }

    /// What it has written.
    pub fn log(&self) -> String {
        crate::child::read(&self.folder.join("nats.log"))
    }
}

/// The password of a user at the start.
pub fn password(user: &str) -> String {
    format!("p{user}")
}
