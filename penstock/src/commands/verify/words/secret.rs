//! A secret with which a signature holds, in words: which and how it was read, never what it is.

use super::{Context, Finding};
use crate::commands::verify::way::secret::{Reading, SecretWay, Whose};

/// The finding.
pub(super) fn finding(way: SecretWay, context: &Context<'_>) -> Finding {
    let how = match way.reading {
        Reading::AsItIs => "",
        Reading::Trimmed => " without the white space around it",
        Reading::Unquoted => " without the quotes around it",
        Reading::WithLf => " with a line end (LF) after it",
        Reading::WithCrLf => " with a line end (CR LF) after it",
        Reading::Base64Decoded => " decoded from base64",
        Reading::HexDecoded => " decoded from hex",
        Reading::Text => " taken as text, not decoded",
        Reading::WithoutPrefix => " without the word before it",
        Reading::WithoutPrefixDecoded => " without the word before it, decoded from base64",
        Reading::Base64Encoded => " written in base64",
        Reading::HexEncoded => " written in hex",
        Reading::PercentDecoded => " with its percent escapes decoded",
        Reading::PublicKey => " as a public key (`whpk_`)",
        Reading::LowerCase => " in lower case",
        Reading::UpperCase => " in upper case",
    };
    let own = &context.source;
    let (says, next) = match way.whose {
        Whose::Own(index) => (
            format!("It holds with secret {} of {own}{how}.", index + 1),
            match way.reading {
                Reading::WithLf | Reading::WithCrLf => {
                    "the sender's copy of the secret ends with a line end: enter it there again, without one"
                }
                Reading::Base64Decoded | Reading::HexDecoded | Reading::Text | Reading::WithoutPrefixDecoded => {
                    "the sender takes the secret otherwise than this provider does: is the source's `provider` right?"
                }
                _ => "write the secret so, or enter at the provider what stands here",
            },
        ),
        Whose::Other(index) => {
            let (name, number) =
                context.case.others.get(index).map_or(("another", 0), |other| (other.source.as_str(), other.number));
            (
                format!("It holds with secret {number} of another source, {name}{how}."),
                "the provider calls the wrong source, or the two secrets (test and live?) are swapped: put right which is \
                 which",
            )
        }
        Whose::Empty => (
            "It holds with an empty secret: the sender signs with none.".to_owned(),
            "set the secret at the sender: what is signed with an empty one, anybody can sign",
        ),
    };
    Finding::new("secret", says, next)
}
