//! What a fuzzer gives is bytes. Here they are choices: which sample, which change, where. So whatever engine makes the
//! bytes makes requests that are nearly right, which is where readers go wrong, and the same bytes make the same request.

/// Bytes that are used up one by one; 0 when there are none left.
#[derive(Debug)]
pub(crate) struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// A number below `end`, which is at most 2²⁴.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let number = usize::from(self.byte()) | usize::from(self.byte()) << 8 | usize::from(self.byte()) << 16;
        if end == 0 { 0 } else { number % end }
    }

    /// One of these.
    pub(crate) fn pick<'b, T: ?Sized>(&mut self, from: &[&'b T]) -> &'b T {
        from[self.below(from.len())]
    }

    /// A few bytes as they are.
    pub(crate) fn bytes(&mut self) -> Vec<u8> {
        (0..self.byte() % 8).map(|_| self.byte()).collect()
    }
}
