//! A request as it arrived, and what can be wrong with it before anybody looks inside.

use std::fmt;

use http::{Method, StatusCode};
use proto::header::Pair;

use crate::verdict::Flaw;

/// A request, as it came in.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The method.
    pub method: &'a Method,
    /// The public URL as the provider knows it, with the query: `https://in.example.com/v1/sms/support?a=1`.
    pub url: &'a str,
    /// The query as it came, without the `?`.
    pub query: Option<&'a str>,
    /// The headers, in the order they came.
    pub headers: &'a [Pair],
    /// The exact bytes of the body, still compressed if they were.
    pub body: &'a [u8],
}

/// Says which request, and never what is in it.
impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({}, {} headers, {} bytes)", self.method, self.headers.len(), self.body.len())
    }
}

impl<'a> Request<'a> {
    /// The first header of this name, as text; `None` where it is missing or not text.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        header(self.headers, name)
    }

    /// A header that must be there exactly once: one of two would be verified and the other believed.
    pub fn single(&self, name: &str) -> Result<&'a str, Flaw> {
        single(self.headers, name)
    }

    /// `Content-Type`.
    pub fn content_type(&self) -> Option<&'a str> {
        self.header("content-type")
    }
}

/// The first header of this name, as text.
pub(crate) fn header<'a>(headers: &'a [Pair], name: &str) -> Option<&'a str> {
    let (_, value) = headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
    std::str::from_utf8(value).ok().map(str::trim_ascii)
}

/// The only header of this name, as text.
pub(crate) fn single<'a>(headers: &'a [Pair], name: &str) -> Result<&'a str, Flaw> {
    let mut values = headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
    let (_, value) = values.next().ok_or(Flaw::Missing)?;
    if values.next().is_some() {
        return Err(Flaw::Repeated);
    }
    let text = std::str::from_utf8(value).map_err(|_| Flaw::Malformed)?.trim_ascii();
    if text.is_empty() { Err(Flaw::Missing) } else { Ok(text) }
}

/// What only the sender can mend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRequest {
    /// There is nothing to take in.
    #[error("the body is empty")]
    Empty,
    /// `multipart/form-data` without a usable `boundary`.
    #[error("the Content-Type says multipart without a boundary")]
    NoBoundary,
    /// The last boundary of a multipart body is missing.
    #[error("the multipart body ends before its last boundary")]
    Truncated,
    /// JSON that is not UTF-8 (RFC 8259, section 8.1).
    #[error("the JSON body is not UTF-8")]
    NotUtf8,
    /// Something else that is called JSON.
    #[error("the body is not the JSON that its Content-Type says")]
    NotJson,
    /// Neither the headers nor the body are those of a CloudEvent 1.0, or a value in them is not what it has to be.
    #[error("this is no CloudEvent 1.0, or one of its attributes is missing or wrong")]
    NotAnEvent,
    /// CloudEvents in another format than JSON.
    #[error("the only format of CloudEvents taken is JSON")]
    EventFormat,
    /// A `Content-Encoding` other than `gzip`.
    #[error("the only Content-Encoding taken is gzip")]
    Encoding,
    /// A handshake with nothing to say back.
    #[error("the handshake has no challenge")]
    NoChallenge,
    /// Small enough as it came, and not once it is unpacked.
    #[error("the unpacked body is larger than this source takes")]
    TooLarge,
}

impl BadRequest {
    /// The status to answer.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Encoding | Self::EventFormat => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Empty
            | Self::NoBoundary
            | Self::Truncated
            | Self::NotUtf8
            | Self::NotJson
            | Self::NoChallenge
            | Self::NotAnEvent => StatusCode::BAD_REQUEST,
        }
    }

    /// The word used in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::NoBoundary => "no_boundary",
            Self::Truncated => "truncated",
            Self::NotUtf8 => "not_utf8",
            Self::NotJson => "not_json",
            Self::NotAnEvent => "not_an_event",
            Self::EventFormat => "event_format",
            Self::Encoding => "encoding",
            Self::NoChallenge => "no_challenge",
            Self::TooLarge => "too_large",
        }
    }
}
