//! A private nats-server: its configuration, how it is started, and when it is ready.
//!
//! The users and what they may do are those of `deploy/`, compiled in, so that a permission which is missing shows on
//! the first machine and not in production. Passwords travel in the environment: a command line is readable by all.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::process::Command;

use super::{ServerError, files, pid_file};

const USERS: &str = include_str!("../../../deploy/nats-users.conf");
const ATTEMPT: Duration = Duration::from_secs(3);

/// The users of `deploy/nats-users.conf`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum User {
    Admin,
    Gateway,
    Normalizer,
    Dedup,
    Persister,
}

impl User {
    pub(crate) const ALL: [Self; 5] = [Self::Admin, Self::Gateway, Self::Normalizer, Self::Dedup, Self::Persister];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Gateway => "gateway",
            Self::Normalizer => "normalizer",
            Self::Dedup => "dedup",
            Self::Persister => "persister",
        }
    }

    /// The variable that `deploy/nats-users.conf` reads.
    fn variable(self) -> String {
        format!("NATS_{}_PASSWORD", self.name().to_uppercase())
    }
}

/// One password for each user. Letters and digits only, the first a letter: the server reads them as configuration.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Passwords {
    pub(crate) admin: String,
    pub(crate) gateway: String,
    pub(crate) normalizer: String,
    pub(crate) dedup: String,
    pub(crate) persister: String,
}

impl Passwords {
    pub(crate) fn of(&self, user: User) -> &str {
        match user {
            User::Admin => &self.admin,
            User::Gateway => &self.gateway,
            User::Normalizer => &self.normalizer,
            User::Dedup => &self.dedup,
            User::Persister => &self.persister,
        }
    }
}

impl std::fmt::Debug for Passwords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passwords(..)")
    }
}

/// A nats-server of our own, on the loopback address.
#[derive(Debug, Clone)]
pub(crate) struct NatsServer {
    pub(crate) program: PathBuf,
    /// Configuration and JetStream's files; ours alone.
    pub(crate) folder: PathBuf,
    pub(crate) port: u16,
    pub(crate) monitor_port: u16,
    pub(crate) passwords: Passwords,
}

impl NatsServer {
    /// Writes the configuration. Once before the first start is enough: the ports are not in it.
    pub(crate) fn prepare(&self) -> Result<(), ServerError> {
        let failed = |path: &Path, source| ServerError::Write { path: path.display().to_string(), source };
        files::make_dir(&self.folder, 0o700).map_err(|e| failed(&self.folder, e))?;
        for (name, content) in [("nats.conf", self.configuration()), ("nats-users.conf", USERS.to_owned())] {
            let path = self.folder.join(name);
            files::write(&path, content.as_bytes(), 0o600).map_err(|e| failed(&path, e))?;
        }
        Ok(())
    }

    fn configuration(&self) -> String {
        // A string in this format may hold anything but a quote; JSON's escapes are understood.
        let store = serde_json::Value::from(self.folder.join("store").to_string_lossy());
        format!(
            "# Written by `penstock up` at every start.\n\
             server_name: penstock-up\n\
             # The default interval for flushing to disk: safe against the death of any process, not against power loss.\n\
             jetstream: {{ store_dir: {store} }}\n\
             include \"./nats-users.conf\"\n"
        )
    }

    /// The command that runs it in the foreground.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--config").arg(self.folder.join("nats.conf"));
        command.args(["--addr", "127.0.0.1", "--port", &self.port.to_string(), "-m", &self.monitor_port.to_string()]);
        command.arg("--pid").arg(pid_file_in(&self.folder)).current_dir(&self.folder);
        for user in User::ALL {
            command.env(user.variable(), self.passwords.of(user));
        }
        command
    }

    /// With the credentials of `user`.
    pub(crate) fn url(&self, user: User) -> String {
        format!("nats://{}:{}@{}:{}", user.name(), self.passwords.of(user), Ipv4Addr::LOCALHOST, self.port)
    }

    /// Where `/healthz`, `/jsz` and the like are.
    pub(crate) fn monitor_url(&self) -> String {
        format!("http://{}:{}", Ipv4Addr::LOCALHOST, self.monitor_port)
    }

    /// Whether our server answers for its streams. Only ours knows the password, so another one on this port is not
    /// taken for it; and it listens only after it has read its streams back.
    pub(crate) async fn ready(&self) -> bool {
        tokio::time::timeout(ATTEMPT, self.ask()).await.unwrap_or(false)
    }

    async fn ask(&self) -> bool {
        let options = async_nats::ConnectOptions::with_user_and_password(
            User::Admin.name().to_owned(),
            self.passwords.admin.clone(),
        );
        let Ok(client) = options.connect(format!("{}:{}", Ipv4Addr::LOCALHOST, self.port)).await else { return false };
        async_nats::jetstream::new(client).query_account().await.is_ok()
    }
}

fn pid_file_in(folder: &Path) -> PathBuf {
    folder.join("nats.pid")
}

/// The process of a server that runs on `folder` now. Two on one store would spoil it: nothing else keeps them apart.
pub(crate) fn server_on(folder: &Path) -> Option<i32> {
    pid_file::server_on(folder, &pid_file_in(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(folder: &Path) -> NatsServer {
        let password = |name: &str| format!("p{name}");
        NatsServer {
            program: "nats-server".into(),
            folder: folder.to_owned(),
            port: 4222,
            monitor_port: 8222,
            passwords: Passwords {
                admin: password("a"),
                gateway: password("g"),
                normalizer: password("n"),
                dedup: password("d"),
                persister: password("p"),
            },
        }
    }

    #[test]
    fn every_user_of_the_shipped_file_gets_a_password_and_no_other() {
        for user in User::ALL {
            assert!(USERS.contains(&format!("user: {}, password: ${}", user.name(), user.variable())), "{user:?}");
        }
        assert_eq!(USERS.matches("user: ").count(), User::ALL.len());
    }

    #[test]
    fn no_password_is_on_the_command_line_or_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let server = server(folder.path());
        server.prepare().unwrap();
        let arguments: Vec<String> =
            server.command().as_std().get_args().map(|a| a.to_string_lossy().into_owned()).collect();
        let written = std::fs::read_to_string(folder.path().join("nats.conf")).unwrap();
        for user in User::ALL {
            let password = server.passwords.of(user);
            assert!(
                !arguments.iter().any(|argument| argument == password) && !written.contains(&format!("\"{password}\""))
            );
        }
    }

    #[test]
    fn a_folder_with_spaces_and_quotes_is_still_one_string() {
        let server = server(Path::new("/tmp/it's \"here\""));
        assert!(server.configuration().contains(r#"store_dir: "/tmp/it's \"here\"/store""#));
    }
}
