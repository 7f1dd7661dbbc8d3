//! Every answer there is: status, headers and body, from what became of the request.
//!
//! A 2xx is made from the sequence of a stored message, so there is none without it. Texts are constant: nothing that the
//! client sent is said back to it. A handshake is both exceptions: nothing is stored, and it hears its own words, of which
//! its adapter has chosen those that may be said, as plain text.

use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, Response, StatusCode};
use http_body_util::Full;
use proto::header::Pair;
use providers::contract::Success;
use providers::{BadRequest, Flaw};
use serde_json::json;
use uuid::Uuid;

use crate::body::BodyError;
use crate::limits::{Over, whole_seconds};
use crate::metrics::Outcome;

/// What became of a request.
#[derive(Debug)]
pub enum Answer {
    /// It is in `RAW`.
    Stored {
        /// Where.
        sequence: u64,
        /// The request of the last two minutes that it repeats byte for byte.
        repeat_of: Option<Uuid>,
        /// How its provider wants to hear it.
        success: Success,
    },
    /// It is in `HELD`.
    Held {
        /// Where.
        sequence: u64,
    },
    /// It repeats a stored one, and its source does not want it twice.
    Conflict {
        /// The stored one.
        repeat_of: Uuid,
    },
    /// It delivers nothing and only asked whether the address is ours, or whether it may: this is what it wants to hear.
    Handshake {
        /// The headers that the provider looks for.
        headers: Vec<Pair>,
        /// The text that it looks for.
        body: String,
    },
    /// It is not stored.
    Refused(Refusal),
}

/// Why a request is not stored.
#[derive(Debug)]
pub enum Refusal {
    /// A proxy in front of us could read it otherwise.
    Ambiguous,
    /// There is no such source.
    NotFound,
    /// The source takes these methods.
    Method(&'static [Method]),
    /// The source does not take this media type.
    MediaType,
    /// The target is too long to be stored.
    TargetTooLong,
    /// The headers are too many to be stored.
    HeadersTooLarge,
    /// The body is larger than the source's `max_body`.
    TooLarge,
    /// The body was not whole in time.
    TooSlow,
    /// The body ended before its end.
    Broken,
    /// What only the sender can mend.
    Bad(BadRequest),
    /// Its signature or credential is missing or wrong.
    Unauthorized(Flaw),
    /// Its signature cannot be judged: the provider could not be asked for its certificate.
    CannotVerify,
    /// It is stored, and what its sender waits for could not be done. It sends the request again; the repeat is told by its
    /// id.
    CannotConfirm,
    /// A handshake that does not know the token. It carried no message, so 403 loses none; providers ask for it.
    Handshake(Flaw),
    /// A limit was reached; the status depends on what the provider does when it hears it.
    OverLimit(Over, StatusCode),
    /// Too many bytes of bodies are in memory.
    Overloaded,
    /// The broker did not confirm in time, or is full.
    CannotStore,
}

/// Headers of every answer, whatever became of the request.
const ALWAYS: [(HeaderName, &str); 8] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'"),
    (header::STRICT_TRANSPORT_SECURITY, "max-age=31536000"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];
const ID: HeaderName = HeaderName::from_static("penstock-id");
const STORED: HeaderName = HeaderName::from_static("penstock-stored");
const PROBLEM: &str = "application/problem+json";
const JSON: &str = "application/json";
/// A browser that is shown a challenge must not take it for a page.
const TEXT: &str = "text/plain; charset=utf-8";

/// Shortest wait asked for where the gateway itself cannot go on; jitter adds as much again at most.
const RETRY_SECONDS: u64 = 2;

impl Answer {
    /// The label under which it is counted.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Stored { repeat_of: None, .. } => Outcome::Accepted,
            Self::Stored { repeat_of: Some(_), .. } => Outcome::Duplicate,
            Self::Held { .. } => Outcome::Held,
            Self::Conflict { .. } => Outcome::Conflict,
            Self::Handshake { .. } => Outcome::Handshake,
            Self::Refused(refusal) => refusal.outcome(),
        }
    }

    /// The response to the request `id`. `jitter` is random: it keeps clients from returning all at once.
    pub fn respond(&self, id: Uuid, jitter: u8) -> Response<Full<Bytes>> {
        match self {
            Self::Stored { sequence, repeat_of, success } => {
                let mut response = match success {
                    Success::Json => respond(id, StatusCode::OK, JSON, accepted(id, *repeat_of)),
                    Success::Fixed { content_type, body } => {
                        respond(id, StatusCode::OK, content_type, Bytes::from_static(body.as_bytes()))
                    }
                };
                set(&mut response, STORED, &format!("RAW/{sequence}"));
                response
            }
            Self::Held { sequence } => {
                let mut response = respond(id, StatusCode::OK, JSON, format!(r#"{{"id":"{id}","status":"held"}}"#));
                set(&mut response, STORED, &format!("HELD/{sequence}"));
                response
            }
            Self::Conflict { repeat_of } => respond(id, StatusCode::CONFLICT, JSON, accepted(id, Some(*repeat_of))),
            Self::Handshake { headers, body } => {
                let mut response = respond(id, StatusCode::OK, TEXT, body.clone());
                for (name, value) in headers {
                    if let (Ok(name), Ok(value)) =
                        (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value))
                    {
                        response.headers_mut().insert(name, value);
                    }
                }
                response
            }
            Self::Refused(refusal) => refusal.respond(id, jitter),
        }
    }
}

fn accepted(id: Uuid, repeat_of: Option<Uuid>) -> String {
    match repeat_of {
        None => format!(r#"{{"id":"{id}","status":"accepted"}}"#),
        Some(first) => format!(r#"{{"id":"{id}","status":"duplicate","repeat_of":"{first}"}}"#),
    }
}

impl Refusal {
    fn outcome(&self) -> Outcome {
        match self {
            Self::NotFound => Outcome::NotFound,
            Self::Method(_) => Outcome::MethodNotAllowed,
            Self::MediaType | Self::Bad(BadRequest::Encoding | BadRequest::EventFormat) => {
                Outcome::UnsupportedMediaType
            }
            Self::TargetTooLong | Self::HeadersTooLarge | Self::TooLarge | Self::Bad(BadRequest::TooLarge) => {
                Outcome::TooLarge
            }
            Self::TooSlow => Outcome::TooSlow,
            Self::Ambiguous | Self::Broken | Self::Bad(_) => Outcome::BadRequest,
            Self::Unauthorized(_) | Self::Handshake(_) => Outcome::Unauthorized,
            Self::OverLimit(..) => Outcome::OverLimit,
            Self::Overloaded => Outcome::Overloaded,
            Self::CannotStore | Self::CannotVerify | Self::CannotConfirm => Outcome::Unavailable,
        }
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Ambiguous | Self::Broken => StatusCode::BAD_REQUEST,
            Self::Bad(bad) => bad.status(),
            Self::Unauthorized(_) => StatusCode::UNAUTHORIZED,
            Self::Handshake(_) => StatusCode::FORBIDDEN,
            Self::OverLimit(_, status) => *status,
            Self::Overloaded | Self::CannotStore | Self::CannotVerify | Self::CannotConfirm => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::Ambiguous => "more than one Host, or a Transfer-Encoding other than chunked".into(),
            Self::NotFound => "there is no such source; the path is /v1/{channel}/{source}".into(),
            Self::Method(_) => "this source takes the methods in Allow".into(),
            Self::MediaType => "this source does not take this Content-Type".into(),
            Self::TargetTooLong => "the path and query are too long".into(),
            Self::HeadersTooLarge => "the request headers are too large".into(),
            Self::TooLarge => "the body is larger than this source takes".into(),
            Self::TooSlow => "the body did not arrive in time".into(),
            Self::Broken => "the body ended before its end".into(),
            Self::Bad(bad) => bad.to_string(),
            Self::Unauthorized(flaw) => flaw.to_string(),
            Self::Handshake(_) => "the handshake does not show this source's verify_token".into(),
            Self::OverLimit(..) => "too many requests; come back after Retry-After".into(),
            Self::Overloaded => "too much is on its way in; come back after Retry-After".into(),
            Self::CannotVerify => "the signer's certificate cannot be had now; come back after Retry-After".into(),
            Self::CannotConfirm => "the subscription cannot be confirmed now; come back after Retry-After".into(),
            Self::CannotStore => "the request cannot be stored now; come back after Retry-After".into(),
        }
    }

    fn respond(&self, id: Uuid, jitter: u8) -> Response<Full<Bytes>> {
        let status = self.status();
        let problem = json!({
            "type": "about:blank",
            "title": status.canonical_reason().unwrap_or_default(),
            "status": status.as_u16(),
            "detail": self.detail(),
            "id": id,
        });
        let mut response = respond(id, status, PROBLEM, problem.to_string());
        match self {
            Self::Method(methods) => {
                let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
                set(&mut response, header::ALLOW, &names.join(", "));
            }
            // RFC 9110 asks for a challenge; most providers' schemes have no registered name.
            Self::Unauthorized(Flaw::Unasked) => {
                set(&mut response, header::WWW_AUTHENTICATE, r#"Basic realm="penstock", charset="UTF-8""#);
            }
            Self::Unauthorized(_) => set(&mut response, header::WWW_AUTHENTICATE, r#"Signature realm="penstock""#),
            Self::OverLimit(over, _) => set_limit(&mut response, over, jitter),
            Self::Overloaded | Self::CannotStore | Self::CannotVerify | Self::CannotConfirm => {
                let wait = spread(Duration::from_secs(RETRY_SECONDS), jitter);
                set(&mut response, header::RETRY_AFTER, &wait.to_string());
            }
            _ => {}
        }
        response
    }
}

/// The headers of draft-ietf-httpapi-ratelimit-headers, and the older ones.
fn set_limit(response: &mut Response<Full<Bytes>>, over: &Over, jitter: u8) {
    let Over { policy, quota, window_s, wait } = over;
    let reset = whole_seconds(*wait);
    set(response, header::RETRY_AFTER, &spread(*wait, jitter).to_string());
    set(response, HeaderName::from_static("ratelimit-policy"), &format!("\"{policy}\";q={quota};w={window_s}"));
    set(response, HeaderName::from_static("ratelimit"), &format!("\"{policy}\";r=0;t={reset}"));
    set(response, HeaderName::from_static("x-ratelimit-limit"), &quota.to_string());
    set(response, HeaderName::from_static("x-ratelimit-remaining"), "0");
    set(response, HeaderName::from_static("x-ratelimit-reset"), &reset.to_string());
}

/// Whole seconds from the wait to twice of it, and at least a second more where that is the same.
fn spread(wait: Duration, jitter: u8) -> u64 {
    let least = whole_seconds(wait);
    least + u64::from(jitter) % (least + 1)
}

fn respond(id: Uuid, status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.reserve(ALWAYS.len() + 8);
    for (name, value) in ALWAYS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    set(&mut response, ID, id.hyphenated().encode_lower(&mut Uuid::encode_buffer()));
    response
}

/// Numbers, names of methods and ids: always visible ASCII, so never left out.
fn set(response: &mut Response<Full<Bytes>>, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

impl From<BodyError> for Refusal {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge => Self::TooLarge,
            BodyError::TooSlow => Self::TooSlow,
            BodyError::NoRoom(_) => Self::Overloaded,
            BodyError::Broken => Self::Broken,
        }
    }
}

#[cfg(test)]
mod tests;
