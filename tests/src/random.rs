//! Numbers that look random and can be had again: a test prints its seed, and runs with the one it is given.

/// A generator (`SplitMix64`). Not for secrets.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Draws a seed and prints it. `PENSTOCK_TEST_SEED`, set when the tests are compiled, gives the same numbers again.
    pub fn seeded(what: &str) -> Self {
        let seed = option_env!("PENSTOCK_TEST_SEED")
            .and_then(|text| text.parse().ok())
            .unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0 >> 32);
        println!("{what}: seed {seed} (again with PENSTOCK_TEST_SEED={seed} in the environment)");
        Self(seed)
    }

    /// From a seed and what it is for: other numbers for each purpose, the same for the same.
    pub fn named(seed: u64, what: &str) -> Self {
        let mixed = what.bytes().fold(seed, |mixed, byte| Self(mixed ^ u64::from(byte)).bits());
        Self(mixed)
    }

    /// From a fixed seed.
    pub fn fixed(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number below `end`, which is at least 1.
    pub fn below(&mut self, end: u64) -> u64 {
        self.bits() % end.max(1)
    }

    /// One of them.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let index = self.below(from.len() as u64);
        &from[usize::try_from(index).unwrap_or(0)]
    }

    /// Another order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            let other = usize::try_from(self.below(end as u64 + 1)).unwrap_or(0);
            items.swap(end, other);
        }
    }
}
