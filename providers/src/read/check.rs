//! What the gateway can say about a body at a glance. It reads JSON for its syntax only and keeps nothing of it.

use serde::de::IgnoredAny;

use super::body::{Packing, packing};
use super::{json, media, multipart};
use crate::request::{BadRequest, Request};

/// A body must be there, and be packed in a way that can be undone.
pub(crate) fn not_empty(request: &Request<'_>) -> Result<(), BadRequest> {
    if packing(request.header("content-encoding")) == Packing::Unknown {
        return Err(BadRequest::Encoding);
    }
    if request.body.is_empty() { Err(BadRequest::Empty) } else { Ok(()) }
}

/// A body must be there and be what its `Content-Type` says, as far as that can be seen without unpacking it.
pub(crate) fn well_formed(request: &Request<'_>) -> Result<(), BadRequest> {
    not_empty(request)?;
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
