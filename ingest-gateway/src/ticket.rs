//! A request's id and time: drawn at its head, so that every answer has an id, and stamped again when its body is there.

use proto::Millis;
use uuid::Uuid;

use crate::clock::{BrokerClock, Moment, Reading};

/// A request's id and time.
#[derive(Clone, Copy, Debug)]
pub struct Ticket {
    /// Spreads what would otherwise happen at once.
    pub jitter: u8,
    /// `Penstock-Id`.
    pub id: Uuid,
    /// When it was there, as far as it is.
    pub received_at: Millis,
    /// Whether the time had to be taken from the broker's clock.
    pub corrected: bool,
    /// Whether the time is known well enough for the request to be stored.
    pub certain: bool,
    random: [u8; 10],
}

impl Ticket {
    /// A new one, of now.
    pub fn draw(clock: &BrokerClock) -> Self {
        // Of a random UUID's 16 bytes, those from 6 to 8 are left out: some of their bits are fixed.
        let drawn = Uuid::new_v4().into_bytes();
        let byte = |place: usize| drawn.get(place).copied().unwrap_or_default();
        let random = std::array::from_fn(|place| if place < 6 { byte(place) } else { byte(place + 3) });
        let mut ticket = Self {
            random,
            jitter: byte(15),
            id: Uuid::nil(),
            received_at: Millis::EPOCH,
            corrected: false,
            certain: false,
        };
        ticket.stamp(clock);
        ticket
    }

    /// Sets the time to now, and the id with it.
    pub fn stamp(&mut self, clock: &BrokerClock) {
        let Moment { time, corrected, certain } = clock.moment(Reading::now());
        (self.received_at, self.corrected, self.certain) = (time, corrected, certain);
        self.id = proto::id::request_id(self.received_at, self.random);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_of_its_time_and_its_random_part_stays() {
        let clock = BrokerClock::default();
        let mut ticket = Ticket::draw(&clock);
        let random = ticket.id.as_u64_pair().1;
        assert!(!ticket.certain);
        let now = Reading::now();
        clock.told(now.wall + 86_400_000, now, now);
        ticket.stamp(&clock);
        assert!(ticket.corrected && ticket.certain);
        assert_eq!(ticket.id.as_u64_pair().1, random);
        let millis = i64::try_from(ticket.id.as_u128() >> 80).unwrap();
        assert_eq!(millis, ticket.received_at.as_unix());
        assert_ne!(Ticket::draw(&clock).id.as_u64_pair().1, random);
    }
}
