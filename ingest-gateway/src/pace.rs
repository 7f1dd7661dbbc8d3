//! Whether a body arrives fast enough to be waited for. No I/O and no clock.
//!
//! The time limit of a whole body has to leave room for the largest at a slow line; somebody who sends a byte a second, or
//! nothing any more, need not be given all of it: the body so far holds its part of the budget, and its connection a
//! place. An average would not do: who has sent much at once could then be silent for as long.

use std::time::Duration;

/// From one look to the next.
pub const LOOK: Duration = Duration::from_secs(5);
/// Fewer bytes from one look to the next are too few: a line of 8 kbit/s brings more.
const LEAST: usize = 5 * 1024;

/// What has arrived of a body since the last look.
#[derive(Debug, Default)]
pub struct Pace {
    arrived: usize,
    looks: usize,
}

impl Pace {
    /// So many bytes more.
    pub fn arrived(&mut self, bytes: usize) {
        self.arrived = self.arrived.saturating_add(bytes);
    }

    /// A look, [`LOOK`] after the last one: whether to wait on. Until the first, anything is fast enough: whoever asked
    /// whether to send has to hear so first.
    pub fn is_kept(&mut self) -> bool {
        let kept = self.looks == 0 || self.arrived >= LEAST;
        *self = Self { arrived: 0, looks: self.looks + 1 };
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each look says, after so many bytes since the one before.
    fn looks(arrived: &[usize]) -> Vec<bool> {
        let mut pace = Pace::default();
        let look = |bytes: &usize| {
            pace.arrived(*bytes);
            pace.is_kept()
        };
        arrived.iter().map(look).collect()
    }

    #[test]
    fn after_a_first_while_a_body_has_to_come_on() {
        assert_eq!(looks(&[0, LEAST, LEAST]), [true; 3]);
        assert_eq!(looks(&[0, LEAST - 1]), [true, false]);
        assert_eq!(looks(&[1 << 20, 0]), [true, false], "what came before does not count");
        assert_eq!(looks(&[usize::MAX, 5, 5]), [true, false, false]);
    }
}
