//! E-mail: whoever takes the mail in by SMTP posts it here, whole or in pieces.

pub(crate) mod mail;
pub(crate) mod mailgun;
pub(crate) mod mime;
pub(crate) mod postmark;
pub(crate) mod sendgrid;
pub(crate) mod ses;

use crate::read::draft::Draft;
use crate::record::{Normalized, RawRequest};

/// The records of a request, in order.
pub(crate) fn finish(drafts: Vec<Draft>, raw: &RawRequest) -> Normalized {
    let parts = u32::try_from(drafts.len()).unwrap_or(u32::MAX);
    let finish = |(part, draft): (u32, Draft)| Ok(Box::new(draft.finish(raw, part, parts)));
    Normalized { parts, elements: (0..).zip(drafts).map(finish).collect() }
}
