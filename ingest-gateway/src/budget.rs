//! How many bytes of requests are in memory at once: of all, and of each address. No I/O and no clock.
//!
//! Taken as bytes arrive, and given back when the last copy of them is dropped. Nothing ever waits for it, so half-read
//! bodies cannot wait for each other. An address is known only as long as it holds something, and what it holds is at least
//! a piece: there are never more addresses here than pieces.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The budget is counted in pieces of this many bytes.
pub const PIECE: usize = 1024;

/// How large a budget is, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Of all requests.
    pub all: u64,
    /// Of those of one address.
    pub address: u64,
}

/// Why there is no room for more bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoRoom {
    /// All requests together hold all.
    Full,
    /// Those of its address hold what one address may.
    Share,
}

/// Bytes that may be in memory at once. Clones share them.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Mutex<Pieces>>);

#[derive(Debug)]
struct Pieces {
    size: Size,
    used: usize,
    used_by: HashMap<IpAddr, usize>,
}

impl Budget {
    /// So many bytes.
    pub fn new(size: Size) -> Self {
        Self(Arc::new(Mutex::new(Pieces { size, used: 0, used_by: HashMap::new() })))
    }

    /// So many bytes from now on. Where more are in use, nothing new is taken until enough of them are given back.
    pub fn resize(&self, size: Size) {
        self.pieces().size = size;
    }

    /// Bytes taken now.
    pub fn used(&self) -> usize {
        self.pieces().used.saturating_mul(PIECE)
    }

    /// What a request of that address is going to hold: nothing yet.
    pub fn share(&self, address: IpAddr) -> Share {
        Share { budget: self.clone(), address, held: 0, bytes: 0 }
    }

    fn pieces(&self) -> MutexGuard<'_, Pieces> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pieces {
    /// What the address and all together would hold with so many more.
    fn with(&self, address: IpAddr, more: usize) -> Result<(usize, usize), NoRoom> {
        let own = self.used_by.get(&address).copied().unwrap_or(0).saturating_add(more);
        let all = self.used.saturating_add(more);
        if own > pieces(self.size.address) {
            return Err(NoRoom::Share);
        }
        if all > pieces(self.size.all) {
            return Err(NoRoom::Full);
        }
        Ok((own, all))
    }

    fn take(&mut self, address: IpAddr, more: usize) -> Result<(), NoRoom> {
        let (own, all) = self.with(address, more)?;
        self.used = all;
        self.used_by.insert(address, own);
        Ok(())
    }

    fn give_back(&mut self, address: IpAddr, held: usize) {
        self.used = self.used.saturating_sub(held);
        if let Some(own) = self.used_by.get_mut(&address) {
            *own = own.saturating_sub(held);
            if *own == 0 {
                self.used_by.remove(&address);
            }
        }
    }
}

fn pieces(bytes: u64) -> usize {
    usize::try_from(bytes / PIECE as u64).unwrap_or(usize::MAX).max(1)
}

/// A request's part of the budget, until it is dropped.
#[derive(Debug)]
pub struct Share {
    budget: Budget,
    address: IpAddr,
    /// Pieces.
    held: usize,
    bytes: usize,
}

impl Share {
    /// Whether there is room for so many bytes more, at this moment. Takes nothing.
    pub fn fits(&self, bytes: usize) -> Result<(), NoRoom> {
        self.budget.pieces().with(self.address, self.missing(bytes)).map(|_| ())
    }

    /// So many bytes more.
    pub fn grow(&mut self, bytes: usize) -> Result<(), NoRoom> {
        let more = self.missing(bytes);
        self.bytes = self.bytes.saturating_add(bytes);
        if more > 0 {
            self.budget.pieces().take(self.address, more)?;
            self.held += more;
        }
        Ok(())
    }

    /// Pieces that it does not hold yet, with so many bytes more.
    fn missing(&self, bytes: usize) -> usize {
        self.bytes.saturating_add(bytes).div_ceil(PIECE).saturating_sub(self.held)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.held > 0 {
            self.budget.pieces().give_back(self.address, self.held);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: u64 = 1024;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn taken(budget: &Budget, last: u8, pieces: usize) -> Result<Share, NoRoom> {
        let mut share = budget.share(address(last));
        share.grow(pieces * PIECE).map(|()| share)
    }

    #[test]
    fn an_address_has_its_share_and_another_has_room_all_the_same() {
        let budget = Budget::new(Size { all: 10 * KIB, address: 7 * KIB });
        let (first, second) = (taken(&budget, 1, 4), taken(&budget, 1, 3));
        assert!(first.is_ok() && second.is_ok());
        assert_eq!(taken(&budget, 1, 1).unwrap_err(), NoRoom::Share);
        let other = taken(&budget, 2, 3);
        assert!(other.is_ok());
        assert_eq!(taken(&budget, 2, 1).unwrap_err(), NoRoom::Full);
        drop(first);
        assert!(taken(&budget, 1, 4).is_ok(), "what was given back can be taken again");
        assert_eq!(budget.used(), 6 * PIECE);
    }

    #[test]
    fn no_address_is_remembered_that_holds_nothing() {
        let budget = Budget::new(Size { all: 4 * KIB, address: 2 * KIB });
        let mut shares: Vec<Share> = (1..=4).map(|last| taken(&budget, last, 1).unwrap()).collect();
        assert!(taken(&budget, 5, 1).is_err() && taken(&budget, 6, 9).is_err());
        drop(budget.share(address(7)));
        assert_eq!(budget.pieces().used_by.len(), 4);
        shares.truncate(1);
        assert_eq!(budget.pieces().used_by.len(), 1);
        drop(shares);
        assert_eq!(budget.pieces().used_by.len(), 0);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_share_that_could_not_grow_gives_back_what_it_has_and_no_more() {
        let budget = Budget::new(Size { all: 9 * KIB, address: 5 * KIB });
        let mut share = taken(&budget, 1, 3).unwrap();
        assert_eq!(share.grow(9 * PIECE), Err(NoRoom::Share));
        assert_eq!(budget.used(), 3 * PIECE);
        drop(share);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_budget_can_be_changed_while_it_is_used() {
        let size = |all| Size { all: all * KIB, address: all * KIB };
        let budget = Budget::new(size(2));
        let first = taken(&budget, 1, 2).unwrap();
        assert!(taken(&budget, 1, 1).is_err());
        budget.resize(size(4));
        let second = taken(&budget, 1, 2).unwrap();
        budget.resize(size(1));
        drop(first);
        assert!(taken(&budget, 1, 1).is_err(), "what is in use is more than there is now");
        drop(second);
        assert!(taken(&budget, 1, 1).is_ok());
        budget.resize(Size { all: 9 * KIB, address: KIB });
        assert_eq!(taken(&budget, 1, 2).unwrap_err(), NoRoom::Share);
    }
}
