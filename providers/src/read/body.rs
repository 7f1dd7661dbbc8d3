//! The body as it was before it was compressed. Signatures are over the compressed bytes; everything else is not.

use std::borrow::Cow;
use std::io::Read as _;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;

use crate::record::{BadReason, RawRequest};
use crate::settings::SourceSettings;

/// Bytes read at most once unpacked, where the source does not take more: a small body must not become a large one in
/// memory. More than the gateway lets in by default, because a source's limit may have been lowered since.
const UNPACKED: u64 = 16 * 1024 * 1024;

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

/// Whether these bytes, packed with gzip, are more than this many unpacked. Keeps nothing of them; what cannot be unpacked
/// is for the reader to say.
pub(crate) fn unpacks_to_more(packed: &[u8], most: u64) -> bool {
    let mut bytes = MultiGzDecoder::new(packed).take(most.saturating_add(1));
    std::io::copy(&mut bytes, &mut std::io::sink()).is_ok_and(|length| length > most)
}

/// The body, unpacked, for readers that keep pieces of it: those of a body that was not packed are its own.
pub(crate) fn unpacked_bytes(raw: &RawRequest, settings: &SourceSettings) -> Result<Bytes, BadReason> {
    Ok(match unpacked(raw, settings)? {
        Cow::Borrowed(_) => raw.body.clone(),
        Cow::Owned(bytes) => bytes.into(),
    })
}

/// The body, unpacked.
pub(crate) fn unpacked<'a>(raw: &'a RawRequest, settings: &SourceSettings) -> Result<Cow<'a, [u8]>, BadReason> {
    match packing(raw.header("content-encoding")) {
        Packing::Plain => Ok(Cow::Borrowed(&raw.body)),
        Packing::Unknown => Err(BadReason::Encoded),
        Packing::Gzip => {
            let most = settings.max_body.max(UNPACKED);
            let mut bytes = Vec::new();
            let mut decoder = MultiGzDecoder::new(&*raw.body).take(most.saturating_add(1));
            decoder.read_to_end(&mut bytes).map_err(|_| BadReason::Encoded)?;
            if bytes.len() as u64 > most { Err(BadReason::TooLarge) } else { Ok(Cow::Owned(bytes)) }
        }
    }
}
