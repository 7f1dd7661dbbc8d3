//! `[attachments]`: where files that came with messages are put.

use super::format::text_that;
use super::reader::Reader;

/// Where files that came with messages are put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachments {
    /// `file://` and a folder, or `s3://` and a bucket with a prefix. Default none: attachments
    /// are described in their message and kept only in its request.
    pub store: Option<String>,
}

impl Attachments {
    pub(super) fn read(reader: &mut Reader<'_, '_>) -> Self {
        let store = text_that("file://.. or s3://..", "a URL that begins with file:// or s3://", |text| {
            let place = text.strip_prefix("file://").or_else(|| text.strip_prefix("s3://"));
            place.is_some_and(|place| !place.is_empty())
        });
        Self { store: reader.optional("store", &store) }
    }
}
