//! The four roles, each a process of this same binary, and what `up` tells each of them.
//!
//! What the user's configuration says comes first: an address or a URL is given in the environment only where the
//! configuration is silent, or where it cannot be meant (a second replica on the same port).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use tokio::process::Command;

use super::http;
use crate::servers::Env;
use crate::servers::nats::User;
use crate::servers::ports::{self, Ports};

/// A stage of the pipeline, in the order of the flow; also the order in which they are stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    Gateway,
    Normalizer,
    Dedup,
    Persister,
}

impl Role {
    pub(crate) const ALL: [Self; 4] = [Self::Gateway, Self::Normalizer, Self::Dedup, Self::Persister];

    /// The subcommand, the section of the configuration and the key in `run.json`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Normalizer => "normalizer",
            Self::Dedup => "dedup",
            Self::Persister => "persister",
        }
    }

    /// As whom it signs in at NATS.
    pub(crate) const fn user(self) -> User {
        match self {
            Self::Gateway => User::Gateway,
            Self::Normalizer => User::Normalizer,
            Self::Dedup => User::Dedup,
            Self::Persister => User::Persister,
        }
    }

    /// The variable that overrides a key of this role's section.
    fn variable(self, key: &str) -> String {
        format!("PENSTOCK__{}__{key}", self.name().to_uppercase())
    }
}

impl std::str::FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = Self::ALL.map(Self::name).join(", ");
        Self::ALL.into_iter().find(|role| role.name() == text).ok_or_else(|| format!("`{text}` is no role ({names})"))
    }
}

/// An address to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bind {
    pub(crate) address: SocketAddr,
    /// Said by the user's configuration: not passed on again, and not changed when it is taken.
    pub(crate) fixed: bool,
}

impl Bind {
    /// A free port of the loopback address.
    pub(crate) fn free(ports: &mut Ports) -> std::io::Result<Self> {
        Ok(Self { address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), ports.free()?), fixed: false })
    }

    /// For replica `number` of a role whose configuration says `configured`: only the first can have that very port.
    pub(crate) fn choose(configured: Option<SocketAddr>, number: usize, ports: &mut Ports) -> std::io::Result<Self> {
        match configured {
            Some(address) if number == 1 && address.port() != 0 => Ok(Self { address, fixed: true }),
            Some(address) => Ok(Self { address: SocketAddr::new(address.ip(), ports.free()?), fixed: false }),
            None => Self::free(ports),
        }
    }

    /// Where a client on this machine reaches it.
    pub(crate) fn reachable(&self) -> SocketAddr {
        let loopback = match self.address.ip() {
            ip if !ip.is_unspecified() => ip,
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(_) => IpAddr::V6(std::net::Ipv6Addr::LOCALHOST),
        };
        SocketAddr::new(loopback, self.address.port())
    }

    fn move_if_taken(&mut self, ports: &mut Ports) -> std::io::Result<()> {
        if !self.fixed && !ports::is_free(self.address.ip(), self.address.port()) {
            self.address.set_port(ports.free()?);
        }
        Ok(())
    }
}

/// One process of a role. Without `Debug`: its overrides hold credentials.
#[derive(Clone)]
pub(crate) struct RoleProcess {
    pub(crate) role: Role,
    /// From 1.
    pub(crate) number: usize,
    /// This binary.
    pub(crate) program: PathBuf,
    pub(crate) config: PathBuf,
    /// Overrides that this role is given, without its addresses.
    pub(crate) overrides: Env,
    pub(crate) admin: Bind,
    /// The gateway's own port; `None` for all others.
    pub(crate) listen: Option<Bind>,
}

impl RoleProcess {
    pub(crate) fn name(&self) -> String {
        format!("{}-{}", self.role.name(), self.number)
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(self.role.name()).arg("--config").arg(&self.config).envs(&self.overrides);
        for (key, bind) in [("ADMIN", Some(self.admin)), ("LISTEN", self.listen)] {
            if let Some(bind) = bind.filter(|bind| !bind.fixed) {
                command.env(self.role.variable(key), bind.address.to_string());
            }
        }
        command
    }

    /// Whether it says itself that it can do its job now.
    pub(crate) async fn ready(&self) -> bool {
        http::get(self.admin.reachable(), "/readyz").await.is_ok_and(|(status, _)| status.is_success())
    }

    /// Before a start: another port in the place of one that somebody has taken.
    pub(crate) fn move_off_taken_ports(&mut self, ports: &mut Ports) -> std::io::Result<()> {
        self.admin.move_if_taken(ports)?;
        self.listen.as_mut().map_or(Ok(()), |listen| listen.move_if_taken(ports))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(admin: Bind, listen: Option<Bind>) -> RoleProcess {
        RoleProcess {
            role: Role::Gateway,
            number: 1,
            program: "/bin/penstock".into(),
            config: "/etc/penstock.toml".into(),
            overrides: Env::new(),
            admin,
            listen,
        }
    }

    fn environment(command: &Command) -> Vec<(String, String)> {
        let text = |os: &std::ffi::OsStr| os.to_string_lossy().into_owned();
        command.as_std().get_envs().filter_map(|(k, v)| Some((text(k), text(v?)))).collect()
    }

    #[test]
    fn what_the_configuration_says_is_not_overridden() {
        let fixed = Bind { address: "0.0.0.0:8080".parse().unwrap(), fixed: true };
        let ours = Bind { address: "127.0.0.1:20000".parse().unwrap(), fixed: false };
        let environment = environment(&process(ours, Some(fixed)).command());
        assert_eq!(environment, [("PENSTOCK__GATEWAY__ADMIN".to_owned(), "127.0.0.1:20000".to_owned())]);
        assert_eq!(fixed.reachable().to_string(), "127.0.0.1:8080");
    }

    #[test]
    fn a_second_replica_gets_a_port_of_its_own_on_the_configured_address() {
        let mut ports = Ports::default();
        let configured = "0.0.0.0:8080".parse().ok();
        assert!(Bind::choose(configured, 1, &mut ports).unwrap().fixed);
        let second = Bind::choose(configured, 2, &mut ports).unwrap();
        assert!(!second.fixed && second.address.ip().is_unspecified() && second.address.port() != 8080);
    }

    #[test]
    fn a_port_that_was_taken_meanwhile_is_changed() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = Bind { address: listener.local_addr().unwrap(), fixed: false };
        let mut process = process(taken, Some(Bind { fixed: true, ..taken }));
        process.move_off_taken_ports(&mut Ports::default()).unwrap();
        assert_ne!(process.admin.address, taken.address);
        assert_eq!(process.listen.unwrap().address, taken.address);
    }
}
