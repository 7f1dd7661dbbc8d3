//! An S3 server of a test's own: `moto` from `PyPI`, fetched once for each machine.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use http::Method;
use nix::sys::signal::Signal;
use serde_json::json;

use crate::child::Child;
use crate::client::Request;
use crate::eventually::{ensure, eventually};
use crate::ports;

/// The version that the tests were written against.
const MOTO: &str = "moto[server]==5.2.5";
const START: Duration = Duration::from_mins(1);

/// A running server, with one bucket.
#[derive(Debug)]
pub struct S3 {
    /// Where it is.
    pub url: String,
    modules: PathBuf,
    port: u16,
    log: PathBuf,
    child: Option<Child>,
}

impl S3 {
    /// Starts one; its log goes into `folder`.
    pub async fn start(folder: &Path, bucket: &str) -> Self {
        let port = ports::free();
        let mut server = Self {
            url: format!("http://127.0.0.1:{port}"),
            modules: moto(),
            port,
            log: folder.join("moto.log"),
            child: None,
        };
        server.run().await;
        let made = Request::new(Method::PUT, format!("/{bucket}")).send(&server.url).await.unwrap();
        assert_eq!(made.status, 200, "the bucket is made: {made:?}");
        let policy = json!({ "Version": "2012-10-17", "Statement": [
            { "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": format!("arn:aws:s3:::{bucket}/*") },
        ] });
        let mut open = Request::new(Method::PUT, format!("/{bucket}?policy"));
        open.body = policy.to_string().into();
        let opened = open.send(&server.url).await.unwrap();
        assert!(matches!(opened.status, 200 | 204), "the test may read the bucket: {opened:?}");
        server
    }

    async fn run(&mut self) {
        let mut command = Command::new("python3");
        command.args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &self.port.to_string()]);
        command.env("PYTHONPATH", &self.modules);
        self.child = Some(Child::start("moto", &mut command, &self.log, Signal::SIGKILL));
        eventually(START, "the S3 server answers", async || Request::get("/").send(&self.url).await.map(drop)).await;
    }

    /// Freezes it: it takes connections, and answers nothing.
    pub fn freeze(&mut self) {
        self.child.as_mut().expect("it runs").signal(Signal::SIGSTOP);
    }

    /// Lets it go on.
    pub fn thaw(&mut self) {
        self.child.as_mut().expect("it runs").signal(Signal::SIGCONT);
    }

    /// What an object holds.
    pub async fn object(&self, path: &str) -> Result<Vec<u8>, String> {
        let answer = Request::get(path).send(&self.url).await.map_err(|error| error.to_string())?;
        ensure(answer.status == 200, || format!("{path}: {}", answer.status)).map(|()| answer.body.to_vec())
    }
}

/// A folder with the server's modules, fetched if it is not there yet. Complete or absent: it is filled beside its place
/// and renamed.
fn moto() -> PathBuf {
    let cache = std::env::temp_dir().join("penstock-test-moto-5.2.5");
    if !cache.exists() {
        let made = tempfile::Builder::new().prefix("penstock-test-moto-").tempdir().unwrap();
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"]);
        let output = pip.arg(made.path()).arg(MOTO).output();
        let output = output.unwrap_or_else(|error| panic!("python3: {error}; install Python 3 with pip"));
        assert!(output.status.success(), "{pip:?}: {}", String::from_utf8_lossy(&output.stderr));
        // Somebody else may have been faster.
        if std::fs::rename(made.path(), &cache).is_ok() {
            drop(made.keep());
        }
    }
    cache
}
