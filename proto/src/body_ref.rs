//! Where the payload is when it is too large to travel in the message: in the stream `BODIES`.

use std::fmt;
use std::str::FromStr;

/// Points from a message to its payload in `BODIES`. Written as `<chunks>;<size>;<blake3 hex>`.
///
/// The chunks are published, each acknowledged, before the message that refers to them, by the process that publishes
/// it; so a reference is never older than the last copy of what it points to, and trimming may rely on that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyRef {
    /// How many chunks there are, at least 1.
    pub chunks: u32,
    /// Bytes in all.
    pub size: u64,
    /// BLAKE3 of the whole payload.
    pub hash: blake3::Hash,
}

/// A text that is no reference.
#[derive(Debug, thiserror::Error)]
#[error("a body reference is <chunks>;<size>;<blake3>, not {0:?}")]
pub struct NotABodyRef(String);

/// The size of every chunk but the last, in bytes.
pub const CHUNK: usize = 512 * 1024;

/// Payloads up to this size, in bytes, travel in the message itself.
pub const INLINE: usize = 512 * 1024;

impl BodyRef {
    /// The reference to `payload`.
    pub fn of(payload: &[u8]) -> Self {
        Self {
            chunks: u32::try_from(payload.len().div_ceil(CHUNK).max(1)).unwrap_or(u32::MAX),
            size: payload.len() as u64,
            hash: blake3::hash(payload),
        }
    }

    /// Whether `payload` is what this points to.
    pub fn fits(&self, payload: &[u8]) -> bool {
        payload.len() as u64 == self.size && blake3::hash(payload) == self.hash
    }
}

impl fmt::Display for BodyRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{};{};{}", self.chunks, self.size, self.hash.to_hex())
    }
}

impl FromStr for BodyRef {
    type Err = NotABodyRef;

    fn from_str(text: &str) -> Result<Self, NotABodyRef> {
        let read = || {
            let mut fields = text.split(';');
            let chunks = fields.next()?.parse().ok().filter(|chunks| *chunks > 0)?;
            let size = fields.next()?.parse().ok()?;
            let hash = blake3::Hash::from_hex(fields.next()?).ok()?;
            fields.next().is_none().then_some(Self { chunks, size, hash })
        };
        read().ok_or_else(|| NotABodyRef(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_reads_back_as_it_is_written() {
        for size in [0, 1, CHUNK, CHUNK + 1, 3 * CHUNK] {
            let body = vec![7; size];
            let reference = BodyRef::of(&body);
            assert_eq!(reference.to_string().parse::<BodyRef>().unwrap(), reference);
            assert!(reference.fits(&body));
            assert!(!reference.fits(b"other"));
        }
        assert_eq!(BodyRef::of(&vec![0; CHUNK + 1]).chunks, 2);
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "1;2", "0;0;00", "1;2;zz", "1;2;3;4"] {
            assert!(text.parse::<BodyRef>().is_err(), "{text:?}");
        }
    }
}
