//! What a record is, and with that, which of the two tables holds it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a canonical record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Somebody wrote something.
    Message,
    /// One part of a long message that the provider sends in several requests.
    MessagePart,
    /// A reaction to a message, or its removal.
    Reaction,
    /// A message was changed by its sender.
    Edit,
    /// A message was taken back by its sender.
    Delete,
    /// A message that the business itself sent from another device.
    Echo,
    /// The provider tells of a change in a conversation (a new number).
    System,
    /// A message that the provider could not pass on.
    Unsupported,
    /// The state of a message sent earlier.
    Status,
    /// A mail that could not be delivered.
    Bounce,
    /// A recipient called a mail spam.
    Complaint,
    /// A mail was displayed.
    ReadReceipt,
    /// The provider reports a fault of its own.
    Error,
    /// Everything that concerns the account and no message; also a request that holds nothing.
    AccountEvent,
}

/// The table a record ends in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// `messages`.
    Message,
    /// `message_statuses`.
    Status,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 14] = [
        Self::Message,
        Self::MessagePart,
        Self::Reaction,
        Self::Edit,
        Self::Delete,
        Self::Echo,
        Self::System,
        Self::Unsupported,
        Self::Status,
        Self::Bounce,
        Self::Complaint,
        Self::ReadReceipt,
        Self::Error,
        Self::AccountEvent,
    ];

    /// The word used in columns and keys.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::MessagePart => "message_part",
            Self::Reaction => "reaction",
            Self::Edit => "edit",
            Self::Delete => "delete",
            Self::Echo => "echo",
            Self::System => "system",
            Self::Unsupported => "unsupported",
            Self::Status => "status",
            Self::Bounce => "bounce",
            Self::Complaint => "complaint",
            Self::ReadReceipt => "read_receipt",
            Self::Error => "error",
            Self::AccountEvent => "account_event",
        }
    }

    /// The table this kind belongs to.
    pub fn class(self) -> Class {
        match self {
            Self::Message
            | Self::MessagePart
            | Self::Reaction
            | Self::Edit
            | Self::Delete
            | Self::Echo
            | Self::System
            | Self::Unsupported => Class::Message,
            Self::Status | Self::Bounce | Self::Complaint | Self::ReadReceipt | Self::Error | Self::AccountEvent => {
                Class::Status
            }
        }
    }
}

impl Class {
    /// The word used in keys.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Status => "status",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_in_json_is_the_word_in_the_column() {
        for kind in Kind::ALL {
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{kind}\""));
        }
    }
}
