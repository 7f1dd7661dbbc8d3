//! An e-mail, whoever took it apart: the reader here, which takes the bytes of RFC 5322 and MIME, or a provider, which
//! posts fields. What all adapters of the channel share.
//!
//! Addresses, base64, character sets and HTML are read by `mail-parser`; where it falls short of what mails need, a
//! file here does that one thing, and says at its top what that is. Everything is bounded, and what a bound cuts off is
//! kept as an attachment or noted.

pub(crate) mod addresses;
pub(crate) mod attached;
mod content;
mod date;
mod drafts;
pub(crate) mod envelope;
pub(crate) mod fields;
pub(crate) mod given;
mod headers;
mod html;
mod ids;
mod lines;
mod parameters;
mod quoted;
pub(crate) mod report;
mod structure;
pub(crate) mod text;
mod uuencode;
pub(crate) mod words;

use bytes::Bytes;
use proto::{Millis, Party};
use serde_json::{Map, Value};

use crate::read::clean::Cleaner;

use attached::Attached;
use envelope::Envelope;
use report::Report;

/// An e-mail.
#[derive(Debug, Default)]
pub(crate) struct Mail {
    /// `Message-ID`, without angle brackets, like every id here.
    pub(crate) message_id: Option<String>,
    pub(crate) in_reply_to: Option<String>,
    /// Oldest first.
    pub(crate) references: Vec<String>,
    pub(crate) from: Option<Party>,
    pub(crate) reply_to: Vec<Party>,
    pub(crate) to: Vec<Party>,
    pub(crate) cc: Vec<Party>,
    pub(crate) bcc: Vec<Party>,
    pub(crate) subject: Option<String>,
    pub(crate) date: Option<Millis>,
    /// `Date` as it was written: with the content it tells mails apart that have no id.
    pub(crate) date_as_written: Option<String>,
    /// The text that the sender wrote. Setting it again replaces it.
    pub(crate) text: Option<String>,
    pub(crate) html: Option<String>,
    pub(crate) attachments: Vec<Attached>,
    /// What a machine says about a mail that was sent earlier.
    pub(crate) report: Option<Report>,
    /// The fields of the header under `headers`, what was found in it and in the parts under names of their own.
    pub(crate) metadata: Map<String, Value>,
    /// The envelope as the header tells it: only for mails that no provider tells the real one of.
    pub(crate) delivered: Envelope,
    /// What could not be kept as it came.
    pub(crate) notes: Cleaner,
    /// Something could not be decoded: what became U+FFFD may have been different.
    pub(crate) undecodable: bool,
    /// What tells this mail from others where it has no content, or not all of it could be decoded: a hash of the whole.
    pub(crate) element: Vec<u8>,
}

impl Mail {
    /// The whole of a message. Never fails: what is no message is a body without a header.
    pub(crate) fn read(bytes: &Bytes) -> Self {
        let (fields, body) = fields::read(bytes, fields::beginning(bytes), fields::OF_MAIL, |_| true, |_| false);
        let mut mail = Self::default();
        headers::read(&fields, &mut mail);
        content::read(bytes, &fields, body, &mut mail);
        mail.element = blake3::hash(bytes).as_bytes().to_vec();
        mail
    }

    /// Only a header block, for providers that have taken the body apart themselves: text, HTML and attachments are then
    /// set by the adapter.
    pub(crate) fn read_headers(block: &[u8]) -> Self {
        let (fields, _) = fields::read(block, fields::beginning(block), fields::OF_MAIL, |_| true, |_| false);
        let mut mail = Self::default();
        headers::read(&fields, &mut mail);
        mail.element = blake3::hash(block).as_bytes().to_vec();
        mail
    }

    /// Notes that bytes did not fit their character set.
    pub(crate) fn note_charset(&mut self, field: &str, replaced: bool) {
        if replaced {
            self.notes.note(field, "charset");
            self.undecodable = true;
        }
    }
}

#[cfg(test)]
mod tests;
