//! What `up` can run: one of the two servers, or a role. The supervisor knows nothing else of them.

use std::io;
use std::net::{IpAddr, Ipv4Addr};

use tokio::process::Command;

use super::kind::Kind;
use super::roles::RoleProcess;
use crate::servers::nats::NatsServer;
use crate::servers::ports::{self, Ports};
use crate::servers::postgres::PostgresServer;

/// Something to run.
#[derive(Clone)]
pub(crate) enum Program {
    Nats(NatsServer),
    Postgres(PostgresServer),
    Role(RoleProcess),
    /// Any command, in tests of the supervisor.
    #[cfg(test)]
    Script(String),
}

impl Program {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Nats(_) => Kind::Nats,
            Self::Postgres(_) => Kind::Postgres,
            Self::Role(_) => Kind::Role,
            #[cfg(test)]
            Self::Script(_) => Kind::Role,
        }
    }

    /// What it is called in messages; also the name of its log.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Nats(_) => "nats".to_owned(),
            Self::Postgres(_) => "postgres".to_owned(),
            Self::Role(role) => role.name(),
            #[cfg(test)]
            Self::Script(_) => "script".to_owned(),
        }
    }

    /// Lower is stopped earlier: first what takes messages in, then along the flow, the servers last.
    pub(crate) fn rank(&self) -> usize {
        match self {
            Self::Role(role) => role.role as usize,
            Self::Nats(_) => 10,
            Self::Postgres(_) => 11,
            #[cfg(test)]
            Self::Script(_) => 0,
        }
    }

    pub(crate) fn command(&self) -> Command {
        match self {
            Self::Nats(server) => server.command(),
            Self::Postgres(server) => server.command(),
            Self::Role(role) => role.command(),
            #[cfg(test)]
            Self::Script(script) => {
                let mut command = Command::new("/bin/sh");
                command.args(["-c", script]);
                command
            }
        }
    }

    pub(crate) async fn ready(&self) -> bool {
        match self {
            Self::Nats(server) => server.ready().await,
            Self::Postgres(server) => server.ready().await,
            Self::Role(role) => role.ready().await,
            #[cfg(test)]
            Self::Script(_) => true,
        }
    }

    /// Another port for one that somebody has taken since it was chosen. A server that was ready once keeps its own:
    /// everybody has been told where it is.
    pub(crate) fn move_off_taken_ports(&mut self, was_ready: bool, ports: &mut Ports) -> io::Result<()> {
        match self {
            Self::Nats(server) if !was_ready => {
                renew(&mut server.port, ports)?;
                renew(&mut server.monitor_port, ports)
            }
            Self::Postgres(server) if !was_ready => renew(&mut server.port, ports),
            Self::Role(role) => role.move_off_taken_ports(ports),
            _ => Ok(()),
        }
    }
}

fn renew(port: &mut u16, ports: &mut Ports) -> io::Result<()> {
    if !ports::is_free(IpAddr::V4(Ipv4Addr::LOCALHOST), *port) {
        *port = ports.free()?;
    }
    Ok(())
}
