//! Gets the request that is to be judged: out of a file, off the command line, or out of a stream. The only I/O here.

use std::io::Read as _;
use std::path::Path;

use http::Method;
use proto::Millis;
use proto::RawEnvelope;
use proto::subject::channel_and_source;
use runtime::nats::Nats;
use runtime::topology::{HELD, RAW};
use uuid::Uuid;

use super::captured::{Captured, NoRequest};
use super::{AsOf, VerifyArgs, har};
use crate::commands::error::CommandError;
use crate::commands::locate::{self, Reach};
use crate::commands::site::Where;
use crate::commands::{clock, resend, stream};

/// Bytes of a file at most: the largest body that a source may take, in base64, and some.
const MOST: u64 = 160 * 1024 * 1024;

/// A request to be judged.
pub(crate) struct Given {
    pub(crate) captured: Captured,
    /// When it came in, and who says so.
    pub(crate) at: (Millis, AsOf),
    /// Where it is one that the gateway stored.
    pub(crate) stored: Option<RawEnvelope>,
}

/// The request that the command line names. `path` is the source's.
pub(crate) async fn given(args: &VerifyArgs, path: &str) -> Result<Given, CommandError> {
    let now = clock::now();
    let asked = match &args.at {
        Some(text) => Some(moment(clock::parse(text, now).map_err(|what| CommandError::usage(what, ""))?)?),
        None => None,
    };
    let (captured, told, stored) = match (&args.file, args.id) {
        (Some(file), _) => {
            let (captured, began) = from_file(file, args.entry, path)?;
            (captured, began.map(|at| (at, AsOf::Capture)), None)
        }
        (None, Some(id)) => {
            let (captured, envelope) = from_streams(&args.place, id, path).await?;
            let at = envelope.received_at;
            (captured, Some((at, AsOf::Received)), Some(envelope))
        }
        (None, None) => (from_arguments(args, path)?, None, None),
    };
    let dated = || Some((date(super::captured::header(&captured.headers, "date")?)?, AsOf::Date));
    let at = asked.map(|at| (at, AsOf::Asked)).or(told).or_else(dated);
    let at = match at {
        Some(at) => at,
        None => (moment(now)?, AsOf::Now),
    };
    Ok(Given { captured, at, stored })
}

fn moment(millis: i64) -> Result<Millis, CommandError> {
    Millis::from_unix(millis)
        .ok_or_else(|| CommandError::usage("that is no time", "name one such as 2026-11-23T05:53:29Z"))
}

/// `Date` as RFC 9110 writes it.
fn date(text: &str) -> Option<Millis> {
    Millis::from_unix(chrono::DateTime::parse_from_rfc2822(text).ok()?.timestamp_millis())
}

fn from_file(file: &Path, entry: Option<usize>, path: &str) -> Result<(Captured, Option<Millis>), CommandError> {
    let bytes = read(file)?;
    let read = if har::is_har(&bytes) {
        har::read(&bytes, entry, path)
    } else {
        Captured::read(&bytes).map(|captured| (captured, None))
    };
    read.map_err(|error| {
        let next = "see `penstock verify --help` for what can be read";
        match error {
            NoRequest::ManyEntries(_) | NoRequest::NoEntry(..) => {
                CommandError::usage(format!("{}: {error}", file.display()), "choose one with --entry N")
            }
            error => CommandError::unjudged(format!("{} is not read", file.display()), next).because(error),
        }
    })
}

/// All of a file, or of standard input where it is called `-`.
fn read(file: &Path) -> Result<Vec<u8>, CommandError> {
    let unreadable = |error: std::io::Error| {
        CommandError::usage(format!("{} cannot be read", file.display()), "name another file").because(error)
    };
    let mut bytes = Vec::new();
    let read = if file == Path::new("-") {
        std::io::stdin().lock().take(MOST + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(MOST + 1).read_to_end(&mut bytes))
    };
    read.map_err(unreadable)?;
    if bytes.len() as u64 > MOST {
        let what = format!("{} is larger than any request that a source takes", file.display());
        return Err(CommandError::unjudged(what, "capture the one request"));
    }
    Ok(bytes)
}

fn from_arguments(args: &VerifyArgs, path: &str) -> Result<Captured, CommandError> {
    let method: Method =
        args.method.parse().map_err(|_| CommandError::usage("the method is none", "name GET or POST"))?;
    let target = args.url.clone().unwrap_or_else(|| path.to_owned());
    let headers = args.header.iter().map(|(name, value)| (name.clone(), value.clone().into_bytes())).collect();
    let body = args.body.as_deref().map(read).transpose()?.unwrap_or_default();
    Ok(Captured { method, target, headers, body, notes: Vec::new() })
}

/// A request as the gateway stored it, with its body.
async fn from_streams(place: &Where, id: Uuid, path: &str) -> Result<(Captured, RawEnvelope), CommandError> {
    let nats = place.site()?.nats().await?;
    let found = match find(&nats, RAW, id).await? {
        Some(found) => Some(found),
        None => find(&nats, HELD, id).await?,
    };
    let Some(stored) = found else {
        let next = "only what was stored or held can be judged by its id: a request that was refused with 401 is stored \
                    nowhere, so capture it at the proxy (--file)";
        return Err(CommandError::finding(format!("neither RAW nor HELD has {id}"), next));
    };
    let unjudged = |what: String| CommandError::unjudged(what, "judge a capture of it instead: --file");
    let (envelope, own_path) = RawEnvelope::read(&stored)
        .ok()
        .zip(channel_and_source(&stored.subject).map(|(channel, source)| format!("/v1/{channel}/{source}")))
        .ok_or_else(|| unjudged(format!("{id} does not carry the gateway's headers")))?;
    if own_path != path {
        let next = "name that source, or judge a capture of the request against this one: --file";
        return Err(CommandError::usage(format!("{id} came in at {own_path}, not at {path}"), next));
    }
    let body = resend::payload(&nats, envelope.id, envelope.body, &stored.payload).await;
    let body = body.map_err(|error| unjudged(format!("the body of {id} cannot be had")).because(error))?;
    let query = envelope.query.as_deref().map(|query| format!("?{query}")).unwrap_or_default();
    let method = envelope.method.parse().map_err(|_| unjudged(format!("{id} has no method")))?;
    let (target, headers) = (format!("{path}{query}"), envelope.headers.clone());
    Ok((Captured { method, target, headers, body: body.to_vec(), notes: Vec::new() }, envelope))
}

async fn find(nats: &Nats, name: &'static str, id: Uuid) -> Result<Option<stream::Stored>, CommandError> {
    let Some(found) = locate::by_id(nats, name, id, Reach::Far).await? else { return Ok(None) };
    let whole = stream::first(nats, name, &found.subject, found.sequence).await?;
    Ok(whole.filter(|whole| whole.sequence == found.sequence))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_read_as_http_writes_it() {
        assert_eq!(date("Mon, 23 Nov 2026 05:33:29 GMT").unwrap().to_string(), "2026-11-23T05:33:29.000Z");
        assert_eq!(date("yesterday"), None);
    }
}
