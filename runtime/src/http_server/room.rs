//! How many HTTP/2 requests there are at once, until their answers are taken, of all connections and of each peer: as many as
//! there may be connections. And how many refusals of further ones wait to be taken.
//!
//! Over HTTP/1 a connection has one request in hand, so the bound on connections is one on requests. Over HTTP/2 it has
//! dozens: without this, one address could have as many in memory as many would over HTTP/1.

use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::crowd::{Counted, Crowd, Share};

/// Places for requests.
pub(super) struct Room {
    places: Arc<Semaphore>,
    crowd: Crowd,
    share: Option<Share>,
}

/// A request's place, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    _place: OwnedSemaphorePermit,
    _counted: Option<Counted>,
}

impl Room {
    /// So many, of which a peer has its share.
    pub(super) fn new(places: usize, share: Option<Share>) -> Self {
        Self { places: Arc::new(Semaphore::new(places)), crowd: Crowd::default(), share }
    }

    /// A place for a request of `peer`, where there is one.
    pub(super) fn enter(&self, peer: IpAddr) -> Option<Place> {
        let counted = match self.share.as_ref().and_then(|share| share(peer)) {
            None => None,
            Some((peer, most)) => Some(self.crowd.enter(peer, most)?),
        };
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        Some(Place { _place: place, _counted: counted })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_has_its_share_of_the_room_and_all_together_have_the_room() {
        let peer = |last: u8| IpAddr::from([192, 0, 2, last]);
        let room = Room::new(3, Some(Arc::new(|peer| Some((peer, 2)))));
        let (first, second) = (room.enter(peer(1)), room.enter(peer(1)));
        assert!(first.is_some() && second.is_some() && room.enter(peer(1)).is_none());
        let other = room.enter(peer(2));
        assert!(other.is_some() && room.enter(peer(3)).is_none());
        drop(first);
        assert!(room.enter(peer(3)).is_some(), "the one that had no place has left no count behind");
        assert!(room.enter(peer(1)).is_some());
    }
}
