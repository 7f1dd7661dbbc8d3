//! What was found, in sentences, each with the next step. Pure; no secret, no credential and no computed signature is in
//! any of them.
//!
//! A signature that the source's secret would make is not shown, though the operator could make it: over a body of
//! somebody else's choice it would be a forgery, ready to be copied from a terminal or a log.

mod body;
mod header;
mod secret;
mod settings;
mod url;

use providers::Flaw;
use serde::Serialize;

use super::case::Case;
use super::clock::Window;
use super::examine::Found;
use super::way::Way;
use crate::commands::{clock, out};

/// Something found, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// `header`, `secret`, `url`, `body`, `settings`, `provider`, `clock` or `unknown`.
    pub(crate) what: &'static str,
    pub(crate) says: String,
    pub(crate) next: String,
}

impl Finding {
    pub(crate) fn new(what: &'static str, says: impl Into<String>, next: impl Into<String>) -> Self {
        Self { what, says: says.into(), next: next.into() }
    }
}

/// What the wording needs to know of the source.
pub(crate) struct Context<'c> {
    pub(crate) case: &'c Case,
    /// `/v1/sms/support`.
    pub(crate) path: String,
    /// The source's name.
    pub(crate) source: String,
    /// What `Content-Length` says.
    pub(crate) content_length: Option<usize>,
    /// Whether nothing told when the request came in, so that it was judged as of now.
    pub(crate) as_of_now: bool,
}

/// The findings of one discovery: one for each change, and one for the clock where that matters too.
pub(crate) fn findings(found: &Found, context: &Context<'_>) -> Vec<Finding> {
    let mut findings: Vec<Finding> = found.ways.iter().map(|way| finding(way, found, context)).collect();
    if let [one, other] = findings.as_mut_slice() {
        one.says = format!("{} This and the next are needed together.", one.says);
        other.says = format!("{} This and the one before are needed together.", other.says);
    }
    findings.extend(found.window.map(|window| late(window, context)));
    findings
}

fn finding(way: &Way, found: &Found, context: &Context<'_>) -> Finding {
    match way {
        Way::Header(way) => header::finding(way),
        Way::Secret(way) => secret::finding(*way, context),
        Way::Url(url) => url::finding(url, context),
        Way::Body(way) => body::finding(*way, found.body_length, context),
        Way::Scheme(scheme) => settings::finding(scheme, context),
        Way::Provider(channel, name) => Finding::new(
            "provider",
            format!("It holds as a request of {channel}/{name}, which is not what this source is configured for."),
            format!("give the source channel = \"{channel}\" and provider = \"{name}\", or post to another source"),
        ),
    }
}

/// A signature that is right at another time.
pub(crate) fn late(window: Window, context: &Context<'_>) -> Finding {
    let off = window.off();
    #[expect(clippy::cast_precision_loss, reason = "seconds in words")]
    let distance = out::age(off.unsigned_abs() as f64);
    let direction = if off > 0 { "late" } else { "early" };
    let time = |second: i64| clock::text(second.saturating_mul(1000));
    let mut says = format!(
        "The signature is right and {distance} too {direction}: it is good from {} to {}, and was judged as of {}.",
        time(window.from),
        time(window.to),
        time(window.now)
    );
    if let Some(hours) = window.zone() {
        let hours = out::several(usize::try_from(hours.unsigned_abs()).unwrap_or_default(), "hour", "hours");
        says = format!("{says} That is {hours}, up to the tolerance: local time taken for UTC looks like this.");
    }
    let next = if context.as_of_now {
        "nothing in the capture says when it came in: name that moment with --at, then only a real delay is left"
    } else if window.zone().is_some() {
        "look at the sender's clock and time zone, and at this machine's: signatures carry UTC"
    } else {
        "set the clocks right (NTP); where the provider sends late or tries again with the old signature, raise \
         `tolerance` of the source"
    };
    Finding::new("clock", says, next)
}

/// A signature that is right and good at no time.
pub(crate) fn never() -> Finding {
    Finding::new(
        "clock",
        "The signature is right, and no time is the right one for it.",
        "Unix seconds are expected: the sender may write milliseconds",
    )
}

/// What a flaw means where no change made it hold.
pub(crate) fn unexplained(flaw: Flaw, tried: usize, ended_early: bool) -> Finding {
    let tried = out::count(tried as u64);
    let bound = if ended_early { ", where the search ends at its bound" } else { "" };
    let next = match flaw {
        Flaw::Missing | Flaw::Repeated | Flaw::Malformed => {
            "look whether the provider signs at all (its settings), and whether something on the way drops or rewrites its \
             headers"
        }
        Flaw::Unbound | Flaw::Algorithm | Flaw::Certificate | Flaw::Topic | Flaw::Unasked | Flaw::Client => {
            "let the provider send what the source is configured for"
        }
        Flaw::Mismatch | Flaw::Stale | Flaw::Early | Flaw::Reused => {
            "copy the secret from the provider's console again (of this account, and of live or test as the sender is), \
             and compare length and hash of the body with what the provider logged"
        }
    };
    Finding::new("unknown", format!("None of {tried} changes makes it hold{bound}."), next)
}
