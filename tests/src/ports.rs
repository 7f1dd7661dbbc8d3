//! Free ports of the loopback address, below the range that the system takes source ports from: a client that
//! reconnects can otherwise be given the very port of the server that is being restarted.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Mutex, PoisonError};

static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// A port nobody listens on, given to nobody else in this process.
pub fn free() -> u16 {
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let drawn = uuid::Uuid::new_v4().as_u128() % 20_000;
        let port = 11_000 + u16::try_from(drawn).unwrap_or(0);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() && given.insert(port) {
            return port;
        }
    }
}

/// `127.0.0.1` and such a port.
pub fn free_address() -> String {
    format!("127.0.0.1:{}", free())
}
