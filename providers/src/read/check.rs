//! What the gateway can say about a body at a glance. It reads JSON for its syntax only and keeps nothing of it.

use http::Method;
use serde::de::IgnoredAny;

use super::body::{Packing, packing, unpacks_to_more};
use super::{json, media, multipart};
use crate::request::{BadRequest, Request};

/// A body must be there, and be packed in a way that can be undone and does not make it larger than `max_body`.
pub(crate) fn not_empty(request: &Request<'_>, max_body: u64) -> Result<(), BadRequest> {
    match packing(request.header("content-encoding")) {
        Packing::Unknown => Err(BadRequest::Encoding),
        _ if request.body.is_empty() => Err(BadRequest::Empty),
        Packing::Gzip if unpacks_to_more(request.body, max_body) => Err(BadRequest::TooLarge),
        Packing::Plain | Packing::Gzip => Ok(()),
    }
}

/// The parameters of a GET are in its query, which must be there; those of any other request as [`well_formed`] says.
pub(crate) fn parameters(request: &Request<'_>, max_body: u64) -> Result<(), BadRequest> {
    if request.method != Method::GET {
        return well_formed(request, max_body);
    }
    if request.query.is_none_or(str::is_empty) { Err(BadRequest::Empty) } else { Ok(()) }
}

/// A body must be there and be what its `Content-Type` says, as far as that can be seen in what is not packed.
pub(crate) fn well_formed(request: &Request<'_>, max_body: u64) -> Result<(), BadRequest> {
    not_empty(request, max_body)?;
    let Some(content_type) = request.content_type() else { return Ok(()) };
    if packing(request.header("content-encoding")) != Packing::Plain {
        return Ok(());
    }
    if media::is(content_type, media::MULTIPART) {
        let boundary = multipart::boundary(content_type).ok_or(BadRequest::NoBoundary)?;
        return if multipart::is_closed(request.body, &boundary) { Ok(()) } else { Err(BadRequest::Truncated) };
    }
    if media::is_json(content_type) {
        let text = json::text(request.body).ok_or(BadRequest::NotUtf8)?;
        return serde_json::from_str::<IgnoredAny>(text).map(|_| ()).map_err(|_| BadRequest::NotJson);
    }
    Ok(())
}
