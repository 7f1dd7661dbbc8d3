//! Free ports on the loopback address.
//!
//! A port is looked for below the range from which the system draws source ports of outgoing connections. Inside that
//! range a client that reconnects to a server which is being restarted may be given the server's own port, connect to
//! itself and keep the server from coming back. Nothing reserves a port between here and the child that listens on it:
//! whoever starts a child has to be ready to try another.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

const LOWEST: u16 = 10_000;
const TRIES: usize = 200;

/// Hands out free ports, none twice.
#[derive(Debug, Default)]
pub(crate) struct Ports {
    given: BTreeSet<u16>,
}

impl Ports {
    /// A port on which nobody listens now.
    pub(crate) fn free(&mut self) -> io::Result<u16> {
        let below = source_ports_start();
        for _ in 0..TRIES {
            let port = match random_between(LOWEST, below) {
                Some(port) if is_free(IpAddr::V4(Ipv4Addr::LOCALHOST), port) => port,
                Some(_) => continue,
                None => any_port()?,
            };
            if self.given.insert(port) {
                return Ok(port);
            }
        }
        any_port()
    }
}

/// Whether a listener could be opened there now.
pub(crate) fn is_free(ip: IpAddr, port: u16) -> bool {
    TcpListener::bind(SocketAddr::new(ip, port)).is_ok()
}

fn any_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// `None` where the range is too small to be worth searching (a system that uses nearly all ports as source ports).
fn random_between(low: u16, high: u16) -> Option<u16> {
    let width = high.checked_sub(low).filter(|width| *width >= 1_000)?;
    let drawn = uuid::Uuid::new_v4().as_u128() % u128::from(width);
    low.checked_add(u16::try_from(drawn).ok()?)
}

fn source_ports_start() -> u16 {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    range.split_whitespace().next().and_then(|low| low.parse().ok()).unwrap_or(32_768)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_given_twice() {
        let mut ports = Ports::default();
        let drawn: BTreeSet<u16> = (0..100).map(|_| ports.free().unwrap()).collect();
        assert_eq!(drawn.len(), 100);
    }

    #[test]
    fn a_port_with_a_listener_is_not_free() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        assert!(!is_free(Ipv4Addr::LOCALHOST.into(), listener.local_addr().unwrap().port()));
    }

    #[test]
    fn a_system_without_room_below_its_source_ports_still_gives_ports() {
        assert_eq!(random_between(10_000, 1_024), None);
        assert_ne!(any_port().unwrap(), 0);
    }
}
