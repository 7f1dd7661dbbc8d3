//! An attachment in the making: what is said about it, and its bytes where they came with the mail.

use bytes::Bytes;
use proto::Attachment;

use crate::record::File;

/// An attachment, whose hash is stated exactly where its bytes are here.
#[derive(Clone, Debug)]
pub(crate) struct Attached {
    pub(crate) attachment: Attachment,
    pub(crate) file: Option<File>,
}

/// What a part says about itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct About {
    pub(crate) filename: Option<String>,
    pub(crate) content_type: Option<String>,
    /// `attachment` or `inline`.
    pub(crate) disposition: Option<String>,
    /// Without angle brackets.
    pub(crate) content_id: Option<String>,
}

impl Attached {
    /// One whose bytes are here.
    pub(crate) fn of(about: About, bytes: Bytes) -> Self {
        let blake3 = blake3::hash(&bytes);
        let size = u64::try_from(bytes.len()).ok();
        let hash = Some(blake3.to_hex().to_string());
        Self { attachment: about.attachment(size, hash, None), file: Some(File { blake3, bytes }) }
    }

    /// One that has to be fetched from the provider.
    #[cfg_attr(not(test), expect(dead_code, reason = "for providers that take mails apart themselves"))]
    pub(crate) fn at(about: About, size: Option<u64>, location: String) -> Self {
        Self { attachment: about.attachment(size, None, Some(location)), file: None }
    }

    /// What tells it from others: its hash, or where it is.
    pub(super) fn mark(&self) -> String {
        let of = &self.attachment;
        of.blake3.as_ref().or(of.location.as_ref()).or(of.filename.as_ref()).cloned().unwrap_or_default()
    }
}

impl About {
    fn attachment(self, size: Option<u64>, blake3: Option<String>, location: Option<String>) -> Attachment {
        let Self { filename, content_type, disposition, content_id } = self;
        Attachment { filename, content_type, size, blake3, disposition, content_id, location }
    }
}
