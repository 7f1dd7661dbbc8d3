//! A header with which a signature holds, in words.

use super::Finding;
use crate::commands::out;
use crate::commands::verify::way::header::{HeaderWay, Spelling};

/// The finding.
pub(super) fn finding(way: &HeaderWay) -> Finding {
    let (says, next) = match way {
        HeaderWay::Renamed(renames) => {
            let pairs: Vec<String> =
                renames.iter().map(|(from, to)| format!("{} is called {to}", out::shown(from))).collect();
            (
                format!("It holds if {}.", pairs.join(" and ")),
                "something on the way renames headers (a server that turns `-` into `_`, a gateway's mapping): have it \
                 pass them on as they are",
            )
        }
        HeaderWay::First(name) | HeaderWay::Last(name) => {
            let which = if matches!(way, HeaderWay::First(_)) { "first" } else { "last" };
            (
                format!("{name} is there more than once, and it holds with the {which} alone."),
                "something on the way adds the header again: have it send each header once",
            )
        }
        HeaderWay::Value(name, spelling) => {
            let how = match spelling {
                Spelling::Unquoted => "without the quotes in it",
                Spelling::LowerCase => "in lower case",
                Spelling::WithPrefix => "with the word before it that the provider writes",
                Spelling::WithoutPrefix => "without the word before it",
                Spelling::StandardBase64 => "in base64 with `+`, `/` and padding",
                Spelling::Base64 => "in base64 instead of hex",
                Spelling::Hex => "in hex instead of base64",
                Spelling::Pluses => "with `+` where spaces are",
                Spelling::PercentDecoded => "with its percent escapes decoded",
            };
            (
                format!(
                    "The signature in {name} is right, and written otherwise than this source reads it: it holds {how}."
                ),
                "put `encoding` and `prefix` of the source right where its provider has them; otherwise the sender, or \
                 something on the way, rewrites the header",
            )
        }
        HeaderWay::ContentType(media) => (
            format!("It holds with Content-Type: {media}, which decides what the signature covers."),
            "something on the way changes or drops Content-Type: have it pass the header on",
        ),
        HeaderWay::Parameter(from, to) => (
            format!("It holds if the query's {} is called {to}.", out::shown(from)),
            "enter the URL at the provider with that name for the parameter",
        ),
    };
    Finding::new("header", says, next)
}
