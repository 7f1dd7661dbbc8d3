//! The five ways a message can come in. A channel is a token of subjects, paths, columns and labels.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where a message came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// E-mail.
    Email,
    /// SMS and MMS.
    Sms,
    /// WhatsApp.
    WhatsApp,
    /// A form on a web page.
    Form,
    /// Any other signed or unsigned webhook.
    Webhook,
}

/// A text that names no channel.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no channel; there are email, sms, whatsapp, form, webhook")]
pub struct NoSuchChannel(String);

impl Channel {
    /// Every channel.
    pub const ALL: [Self; 5] = [Self::Email, Self::Sms, Self::WhatsApp, Self::Form, Self::Webhook];

    /// The token used in subjects, paths, columns and labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Sms => "sms",
            Self::WhatsApp => "whatsapp",
            Self::Form => "form",
            Self::Webhook => "webhook",
        }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Channel {
    type Err = NoSuchChannel;

    fn from_str(text: &str) -> Result<Self, NoSuchChannel> {
        Self::ALL.into_iter().find(|channel| channel.as_str() == text).ok_or_else(|| NoSuchChannel(text.to_owned()))
    }
}
