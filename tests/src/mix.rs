//! What the writers of a load send: messages of every channel, each signed as its provider signs.
//!
//! A message is its number: the same writer and number make the same bytes again (but for the time that is signed), so
//! a repeat is what a provider's own retry would be.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::client::Request;
use crate::config::{self, BEARER, GITHUB, STANDARD, TWILIO, UNLIMITED};
use crate::ledger::End;
use crate::sign::{github, standard_request, twilio_request};

/// The largest that a source takes by default: more than fits into a message of the broker's, so it goes through
/// `BODIES`.
const LARGE: usize = 1024 * 1024;

/// A kind of message, with the source that it is sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Standard Webhooks.
    Webhook,
    /// The same, with a body of the largest size.
    Large,
    /// Twilio: a text message.
    Sms,
    /// Twilio: what became of one.
    SmsStatus,
    /// Meta: two messages in one request.
    WhatsApp,
    /// Meta: a message, and beside it what is none.
    Unreadable,
    /// A form with an id of its own.
    Form,
    /// A whole mail with a file.
    Mail,
}

/// Kinds, each as often as it is named.
#[derive(Clone, Debug)]
pub struct Mix(pub Vec<Kind>);

/// A request, and what has to come of it.
#[derive(Clone, Debug)]
pub struct Letter {
    /// To be sent.
    pub request: Request,
    /// The messages in it, each with its end.
    pub messages: Vec<(String, End)>,
}

impl Mix {
    /// Every kind; the small ones more often.
    pub fn of_everything() -> Self {
        use Kind::{Form, Large, Mail, Sms, SmsStatus, Unreadable, Webhook, WhatsApp};
        Self(vec![
            Webhook, Sms, WhatsApp, Form, Mail, Webhook, Sms, SmsStatus, WhatsApp, Form, Unreadable, Webhook, Large,
        ])
    }

    /// Every kind, and of the large one a quarter: what takes many minutes would fill `BODIES` otherwise.
    pub fn of_few_large_ones() -> Self {
        let (Self(everything), Self(small)) = (Self::of_everything(), Self::of_small_ones());
        Self([everything, small.repeat(3)].concat())
    }

    /// Every kind but the one that fills `BODIES`, whose limit a test of minutes would reach.
    pub fn of_small_ones() -> Self {
        let Self(mut kinds) = Self::of_everything();
        kinds.retain(|kind| *kind != Kind::Large);
        Self(kinds)
    }

    /// One kind only.
    pub fn only(kind: Kind) -> Self {
        Self(vec![kind])
    }

    /// The sources of these kinds, for [`config::with_sources`]. `more` goes into each.
    pub fn sources(&self, more: &str) -> Vec<String> {
        let mut sources = Vec::new();
        for kind in &self.0 {
            let source = kind.source(more);
            if !sources.contains(&source) {
                sources.push(source);
            }
        }
        sources
    }

    /// The names of the sources.
    pub fn names(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = self.0.iter().map(|kind| kind.name()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The message with this number of this writer.
    pub fn letter(&self, writer: usize, number: u64) -> Letter {
        let place = usize::try_from(number).unwrap_or(0) % self.0.len();
        self.0[place].letter(writer, number)
    }
}

impl Kind {
    /// The source.
    pub fn name(self) -> &'static str {
        match self {
            Self::Webhook => "orders",
            Self::Large => "large",
            Self::Sms | Self::SmsStatus => "texts",
            Self::WhatsApp | Self::Unreadable => "chats",
            Self::Form => "contact",
            Self::Mail => "inbox",
        }
    }

    fn source(self, more: &str) -> String {
        let secret = |secret: &str| format!("secrets = [{{ value = \"{secret}\" }}]\n{UNLIMITED}\n{more}\n");
        let with = |channel, provider, more: String| config::source(channel, provider, self.name(), &more);
        match self {
            Self::Webhook | Self::Large => with("webhook", "standard", secret(STANDARD)),
            Self::Sms | Self::SmsStatus => with("sms", "twilio", secret(TWILIO)),
            Self::WhatsApp | Self::Unreadable => with("whatsapp", "meta", secret(GITHUB)),
            Self::Form => with("form", "generic", format!("id_field = \"id\"\n{UNLIMITED}\n{more}\n")),
            Self::Mail => with("email", "mime", secret(BEARER)),
        }
    }

    fn letter(self, writer: usize, number: u64) -> Letter {
        let id = format!("{}-{writer}-{number}", self.name());
        let row = |id: String| vec![(id, End::Row)];
        match self {
            Self::Webhook => {
                let body = format!(r#"{{"text":"{id}","n":{number}}}"#);
                Letter { request: standard_request(STANDARD, self.name(), &id, &body), messages: row(id) }
            }
            Self::Large => {
                let body = format!(r#"{{"text":"{id}","padding":""}}"#);
                let body = body.replace(r#""""#, &format!(r#""{}""#, "x".repeat(LARGE - body.len())));
                Letter { request: standard_request(STANDARD, self.name(), &id, &body), messages: row(id) }
            }
            Self::Sms => {
                let fields =
                    [("MessageSid", &*id), ("From", "+14155551438"), ("To", "+14155553237"), ("Body", "hi 👋")];
                Letter { request: twilio_request(TWILIO, self.name(), &fields), messages: row(id) }
            }
            Self::SmsStatus => {
                let fields = [("MessageSid", &*id), ("MessageStatus", "delivered"), ("To", "+14155553237")];
                Letter { request: twilio_request(TWILIO, self.name(), &fields), messages: row(id) }
            }
            Self::WhatsApp => {
                let ids = [format!("{id}-a"), format!("{id}-b")];
                let messages: Vec<String> = ids.iter().map(|id| whatsapp_text(id)).collect();
                let ends = ids.into_iter().map(|id| (id, End::Row)).collect();
                Letter { request: meta(self.name(), &messages.join(",")), messages: ends }
            }
            Self::Unreadable => {
                let messages = format!("{},\"{id}\"", whatsapp_text(&format!("{id}-a")));
                let ends = vec![(format!("{id}-a"), End::Row), (id, End::DeadLetter)];
                Letter { request: meta(self.name(), &messages), messages: ends }
            }
            Self::Form => {
                let body = format!(r#"{{"id":"{id}","message":"{id}"}}"#);
                Letter { request: Request::json(format!("/v1/form/{}", self.name()), body), messages: row(id) }
            }
            Self::Mail => {
                let path = format!("/v1/email/{}", self.name());
                let id = format!("{id}@example.net");
                let request = Request::post(path, mail(&id)).header("Content-Type", "message/rfc822");
                let request = request.header("Authorization", format!("Bearer {BEARER}"));
                Letter { request, messages: row(id) }
            }
        }
    }
}

fn whatsapp_text(id: &str) -> String {
    format!(r#"{{"from":"14155551438","id":"{id}","timestamp":"1790000000","type":"text","text":{{"body":"{id}"}}}}"#)
}

/// A request as Meta sends it.
fn meta(source: &str, messages: &str) -> Request {
    let body = format!(
        r#"{{"object":"whatsapp_business_account","entry":[{{"id":"1","changes":[{{"field":"messages","value":{{"messaging_product":"whatsapp","metadata":{{"display_phone_number":"14155553237","phone_number_id":"7"}},"contacts":[{{"profile":{{"name":"Ada"}},"wa_id":"14155551438"}}],"messages":[{messages}]}}}}]}}]}}"#
    );
    let signature = github(GITHUB, &body);
    Request::json(format!("/v1/whatsapp/{source}"), body).header("X-Hub-Signature-256", signature)
}

/// A mail with a file that no other mail has.
fn mail(id: &str) -> String {
    let mut mail = String::new();
    let file = BASE64.encode(format!("the file of {id}"));
    write!(
        mail,
        "From: Ada <ada@example.net>\r\nTo: inbox@example.com\r\nSubject: {id}\r\nMessage-ID: <{id}>\r\nDate: Wed, 25 Nov \
         2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b\"\r\n\r\n--b\r\n\
         Content-Type: text/plain\r\n\r\n{id}\r\n--b\r\nContent-Type: text/plain; name=\"a.txt\"\r\n\
         Content-Disposition: attachment; filename=\"a.txt\"\r\nContent-Transfer-Encoding: base64\r\n\r\n{file}\r\n--b--\r\n"
    )
    .expect("a text can be written to");
    mail
}
