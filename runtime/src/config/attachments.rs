//! `[attachments]`: where files that came with messages are put.

use super::format::{text, text_that};
use super::reader::Reader;
use super::requirements::Need;
use super::secret::Secret;

/// Where files that came with messages are put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachments {
    /// Default none: attachments are described in their message, and their bytes are kept only in its request.
    pub store: Option<String>,
    /// Where an S3 server is that is not Amazon's. `http://` is not encrypted.
    pub endpoint: Option<String>,
    /// The bucket's region.
    pub region: Option<String>,
    /// Who asks. Where it is absent, whoever the machine or its environment says.
    pub access_key_id: Option<Secret>,
    /// What proves it.
    pub secret_access_key: Option<Secret>,
}

impl Attachments {
    pub(super) fn read(reader: &mut Reader<'_, '_>, keys: Need) -> Self {
        let store = text_that("file:///.. or s3://..", "file:// and an absolute path, or s3:// and a bucket", is_store);
        let endpoint = text_that("http or https URL", "a URL that begins with http:// or https://", |text| {
            text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")).is_some_and(|rest| !rest.is_empty())
        });
        let attachments = Self {
            store: reader.optional("store", &store),
            endpoint: reader.left_open("endpoint", "AWS_ENDPOINT_URL, else Amazon", &endpoint),
            region: reader.left_open("region", "AWS_REGION, else us-east-1", &text()),
            access_key_id: reader.secret("access_key_id", keys),
            secret_access_key: reader.secret("secret_access_key", keys),
        };
        if attachments.access_key_id.is_some() != attachments.secret_access_key.is_some() {
            reader.problem("access_key_id", "access_key_id and secret_access_key go together");
        }
        attachments
    }
}

fn is_store(text: &str) -> bool {
    match text.strip_prefix("file://") {
        Some(folder) => folder.starts_with('/'),
        None => text.strip_prefix("s3://").is_some_and(|place| !place.is_empty() && !place.starts_with('/')),
    }
}
