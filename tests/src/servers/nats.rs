//! A nats-server of a test's own, with the configuration that the test gives it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use async_nats::ConnectOptions;
use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::found::found;
use super::wire::Wire;
use crate::child::Child;
use crate::{eventually, ports, up};

const READY: Duration = Duration::from_secs(20);
const STOP: Duration = Duration::from_secs(10);

/// It, while it runs or is stopped.
#[derive(Debug)]
pub struct NatsServer {
    child: Child,
    program: PathBuf,
    path: PathBuf,
    port: u16,
    monitor_port: u16,
    credentials: Option<(String, String)>,
    _folder: TempDir,
}

impl NatsServer {
    /// One with its defaults.
    pub async fn start() -> Self {
        Self::start_with("", "").await
    }

    /// One with more lines in its `jetstream` block, and beside it.
    pub async fn start_with(jetstream: &str, more: &str) -> Self {
        let server = Self::launch(None, jetstream, more).await;
        server.connect().await;
        server
    }

    /// One with users, of which this one, with this password, is ours.
    pub async fn start_as(user: &str, password: &str, users: &str) -> Self {
        let mut server = Self::launch(None, "", users).await;
        server.credentials = Some((user.to_owned(), password.to_owned()));
        server.connect().await;
        server
    }

    /// Starts one whose messages are in `store`, or in a folder of its own, and does not wait until it is ready.
    pub async fn launch(store: Option<&Path>, jetstream: &str, more: &str) -> Self {
        let program = found().await.nats_server.clone();
        let folder = up::folder();
        let path = folder.path().to_owned();
        let own = path.join("store");
        let store = store.unwrap_or(&own);
        let config = format!("jetstream: {{ store_dir: \"{}\"\n {jetstream} }}\n{more}\n", store.display());
        std::fs::write(path.join("nats.conf"), config).expect("the configuration is written");
        let (port, monitor_port) = (ports::free(), ports::free());
        let child = run(&program, &path, port, monitor_port);
        Self { child, program, path, port, monitor_port, credentials: None, _folder: folder }
    }

    /// Starts it again on what it has stored, after it was killed or stopped.
    pub async fn again(&mut self) {
        self.child = run(&self.program, &self.path, self.port, self.monitor_port);
        self.connect().await;
    }

    /// The process.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Ends it in order.
    pub async fn stop(&mut self) {
        self.child.signal(Signal::SIGTERM);
        self.child.end(STOP).await;
    }

    /// Its address.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// A connection, once it is ready.
    pub async fn connect(&self) -> Wire {
        eventually(READY, "nats-server answers", async || {
            let options = match self.credentials.clone() {
                Some((user, password)) => ConnectOptions::with_user_and_password(user, password),
                None => ConnectOptions::new(),
            };
            let client = Wire::connect(&self.address(), options).await?;
            client.ready().await.map(|()| client)
        })
        .await
    }

    /// Status and body of a page of its monitoring port, such as `/healthz`.
    pub async fn monitor(&self, page: &str) -> (u16, String) {
        let answer = crate::Request::get(page).send(&format!("http://127.0.0.1:{}", self.monitor_port)).await;
        let answer = answer.expect("the monitoring port answers");
        (answer.status, String::from_utf8_lossy(&answer.body).into_owned())
    }
}

fn run(program: &Path, path: &Path, port: u16, monitor_port: u16) -> Child {
    let mut command = Command::new(program);
    command.arg("--config").arg(path.join("nats.conf")).args(["--addr", "127.0.0.1"]);
    command.args(["--port", &port.to_string(), "-m", &monitor_port.to_string()]).current_dir(path);
    Child::start("nats-server", &mut command, &path.join("nats.log"), Signal::SIGKILL)
}
