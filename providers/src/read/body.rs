//! The body as it was before it was compressed. Signatures are over the compressed bytes; everything else is not.

use std::borrow::Cow;
use std::io::Read as _;

use flate2::read::MultiGzDecoder;

use crate::record::{BadReason, RawRequest};

/// Bytes taken at most once unpacked: a small body must not become a large one in memory.
pub(crate) const UNPACKED: usize = 16 * 1024 * 1024;

/// A `Content-Encoding`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    /// None.
    Plain,
    /// `gzip`.
    Gzip,
    /// Any other, or several.
    Unknown,
}

/// Reads a `Content-Encoding`.
pub(crate) fn packing(content_encoding: Option<&str>) -> Packing {
    match content_encoding.map(str::to_ascii_lowercase).as_deref() {
        None | Some("" | "identity") => Packing::Plain,
        Some("gzip" | "x-gzip") => Packing::Gzip,
        Some(_) => Packing::Unknown,
    }
}

/// The body, unpacked.
pub(crate) fn unpacked(raw: &RawRequest) -> Result<Cow<'_, [u8]>, BadReason> {
    match packing(raw.header("content-encoding")) {
        Packing::Plain => Ok(Cow::Borrowed(&raw.body)),
        Packing::Unknown => Err(BadReason::Encoded),
        Packing::Gzip => {
            let mut bytes = Vec::new();
            let mut decoder = MultiGzDecoder::new(&*raw.body).take(UNPACKED as u64 + 1);
            decoder.read_to_end(&mut bytes).map_err(|_| BadReason::Encoded)?;
            if bytes.len() > UNPACKED { Err(BadReason::TooLarge) } else { Ok(Cow::Owned(bytes)) }
        }
    }
}
