//! The records of a mail: one message, or for a report one status per recipient.

use bytes::Bytes;
use proto::canonical::StatusFields;
use proto::{Attachment, Kind, Party, Recipient, Role};
use serde_json::Value;

use super::report::{Outcome, Report};
use super::{Envelope, Mail, html};
use crate::dedup;
use crate::read::address;
use crate::read::draft::Draft;
use crate::record::{Content, File, Identity};

impl Mail {
    /// The records, with their identities: `Message-ID`, the envelope's recipients and the content, because the sender
    /// wrote the id. A mail without an id has its date in that place, as part of its content; one without either is
    /// known by its content alone.
    pub(crate) fn drafts(mut self, envelope: &Envelope) -> Vec<Draft> {
        envelope.write(&mut self.metadata);
        self.text_from_html();
        let report = self.report.take();
        let recipients = self.recipients(envelope);
        let content = self.content(&recipients);
        let identity = self.identity(envelope, &content);
        let mut draft = Draft::new(Kind::Message);
        draft.conversation = Some(&self.in_reply_to).filter(|_| self.references.is_empty()).cloned().flatten();
        draft.sender = self.from;
        draft.recipients = recipients;
        draft.subject = self.subject;
        draft.text = self.text;
        draft.html = self.html;
        (draft.attachments, draft.files) = split(self.attachments);
        draft.reply_to_id = self.in_reply_to;
        draft.references = self.references;
        draft.sent_at = self.date;
        draft.metadata = self.metadata;
        draft.notes = self.notes;
        draft.identity = identity;
        draft.content = content;
        match report {
            None => vec![draft],
            Some(report) => of_report(draft, report),
        }
    }

    /// A text made of the HTML is not what the sender wrote, so it has another place than one that is.
    fn text_from_html(&mut self) {
        if let (None, Some(html)) = (&self.text, &self.html) {
            let (text, cut) = html::to_text(html);
            if cut {
                self.notes.note("metadata.text_from_html", "length");
            }
            if let Some(text) = text {
                self.metadata.insert("text_from_html".to_owned(), Value::from(text));
            }
        }
    }

    /// Those of the header, and those of the envelope that the header does not name.
    fn recipients(&mut self, envelope: &Envelope) -> Vec<Recipient> {
        let mut recipients = Vec::new();
        for (parties, role) in [(&mut self.to, Role::To), (&mut self.cc, Role::Cc), (&mut self.bcc, Role::Bcc)] {
            recipients.extend(parties.drain(..).map(|Party { address, name }| Recipient { address, name, role }));
        }
        for written in &envelope.recipients {
            let address = address::email(written);
            let named = recipients.iter().any(|known| match (&known.address, &address) {
                (Some(known), Some(address)) => known.eq_ignore_ascii_case(address),
                _ => false,
            });
            if !named && address.is_some() {
                recipients.push(Recipient { address, name: None, role: Role::Bcc });
            }
        }
        recipients
    }

    fn content(&self, recipients: &[Recipient]) -> Content {
        let of = |address: &Option<String>, name: &Option<String>| {
            let text = |part: &Option<String>| part.clone().unwrap_or_default();
            format!("{} <{}>", text(name), text(address))
        };
        let mut content = Content {
            sender: self.from.as_ref().map(|from| of(&from.address, &from.name)),
            recipients: recipients.iter().map(|recipient| of(&recipient.address, &recipient.name)).collect(),
            subject: self.subject.clone(),
            text: self.text.clone(),
            html: self.html.clone(),
            fields: self.date_as_written.as_ref().filter(|_| self.message_id.is_none()).map(|date| date.clone().into()),
            attachments: self.attachments.iter().map(super::Attached::mark).collect(),
            undecodable: self.undecodable,
            element: self.element.clone().into(),
        };
        if content.needs_element() && content.element.is_empty() {
            content.element = Bytes::copy_from_slice(blake3::hash(&self.whole).as_bytes());
        }
        content
    }

    fn identity(&self, envelope: &Envelope, content: &Content) -> Identity {
        if self.message_id.is_none() && self.date_as_written.is_none() {
            return Identity::None;
        }
        let mut ids = vec![self.message_id.clone().unwrap_or_default()];
        ids.extend(envelope.recipients.iter().filter_map(|recipient| address::email(recipient)));
        ids.push(dedup::digest(content));
        Identity::Provided(ids)
    }
}

fn split(attached: Vec<super::Attached>) -> (Vec<Attachment>, Vec<File>) {
    let mut files = Vec::new();
    let attachments = attached.into_iter().map(|one| {
        files.extend(one.file);
        one.attachment
    });
    (attachments.collect(), files)
}

/// A record per recipient. What the report says once (its text, its attachments) is in the first.
fn of_report(mut first: Draft, report: Report) -> Vec<Draft> {
    let Report { name, about, outcomes } = report;
    first.reply_to_id = about.or(first.reply_to_id);
    if first.references.is_empty() {
        first.conversation.clone_from(&first.reply_to_id);
    }
    let mut outcomes = outcomes.into_iter().enumerate();
    let Some((place, outcome)) = outcomes.next() else { return vec![first] };
    let rest: Vec<Draft> = outcomes.map(|(place, outcome)| fill(shared(&first), name, place, outcome)).collect();
    let mut drafts = vec![fill(first, name, place, outcome)];
    drafts.extend(rest);
    drafts
}

/// What all records of a report have.
fn shared(first: &Draft) -> Draft {
    let mut draft = Draft::new(first.kind);
    draft.conversation.clone_from(&first.conversation);
    draft.sender.clone_from(&first.sender);
    draft.recipients.clone_from(&first.recipients);
    draft.subject.clone_from(&first.subject);
    draft.reply_to_id.clone_from(&first.reply_to_id);
    draft.references.clone_from(&first.references);
    draft.sent_at = first.sent_at;
    let metadata = first.metadata.iter().filter(|(name, _)| *name != "headers");
    draft.metadata = metadata.map(|(name, value)| (name.clone(), value.clone())).collect();
    draft.identity = first.identity.clone();
    // What was written is in the first; that it was another report tells the rest from that of another.
    draft.content.fields = Some(dedup::digest(&first.content).into_bytes());
    draft
}

fn fill(mut draft: Draft, name: &str, place: usize, outcome: Outcome) -> Draft {
    let Outcome { kind, status, recipient, error_code, occurred_at, mut details } = outcome;
    draft.kind = kind;
    if let Some(about) = &draft.reply_to_id {
        details.insert("original_message_id".to_owned(), Value::from(about.as_str()));
    }
    draft.metadata.insert(name.to_owned(), Value::Object(details));
    // All records of a report have one `Message-ID`, and one recipient may be in it twice: for two addresses that lead to
    // one mailbox. When it is sent again, it has the same order.
    let mark = format!("{status} {} {place}", recipient.as_deref().unwrap_or_default());
    match &mut draft.identity {
        Identity::Provided(ids) => ids.push(mark.clone()),
        Identity::None => {}
    }
    draft.content.fields = Some([draft.content.fields.unwrap_or_default(), mark.into_bytes()].concat());
    draft.status = Some(StatusFields { status, occurred_at: occurred_at.or(draft.sent_at), recipient, error_code });
    draft
}
