//! How many connections each peer has, so that one of them does not take the places of all. No I/O and no clock.
//!
//! A peer that has its share already is hung up on before a byte of it is read: an answer would cost what it is to save.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Whom a peer counts as, and how many connections those may have; `None` for one that may have as many as there are
/// places, such as a proxy that all come through.
pub type Share = Arc<dyn Fn(IpAddr) -> Option<(IpAddr, usize)> + Send + Sync>;

/// Connections by peer.
#[derive(Debug, Default)]
pub(super) struct Crowd(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// A connection that counts until it is dropped.
#[derive(Debug)]
pub(super) struct Counted {
    peer: IpAddr,
    crowd: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Crowd {
    /// Counts one more of `peer`, unless there are `most` already.
    pub(super) fn enter(&self, peer: IpAddr, most: usize) -> Option<Counted> {
        let mut crowd = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let connections = crowd.entry(peer).or_default();
        if *connections >= most {
            return None;
        }
        *connections += 1;
        Some(Counted { peer, crowd: Arc::clone(&self.0) })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut crowd = self.crowd.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connections) = crowd.get_mut(&self.peer) {
            *connections -= 1;
            if *connections == 0 {
                crowd.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_has_its_share_and_nobody_is_remembered_who_has_gone() {
        let crowd = Crowd::default();
        let peer = |last: u8| IpAddr::from([192, 0, 2, last]);
        let (first, second) = (crowd.enter(peer(1), 2), crowd.enter(peer(1), 2));
        assert!(first.is_some() && second.is_some() && crowd.enter(peer(1), 2).is_none());
        let other = crowd.enter(peer(2), 2);
        assert!(other.is_some(), "another has its own");
        drop(first);
        assert!(crowd.enter(peer(1), 2).is_some());
        drop((second, other));
        assert!(crowd.0.lock().unwrap().is_empty());
    }
}
