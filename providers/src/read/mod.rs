//! Reading what anybody may have written: media types, character sets, forms, JSON, addresses. Nothing here fails on
//! what a browser, a proxy or an old library gets wrong, as long as what it meant is clear; what had to be replaced is
//! noted as a [`proto::Truncation`].

pub(crate) mod address;
pub(crate) mod answers;
pub(crate) mod body;
pub(crate) mod charset;
pub(crate) mod check;
pub(crate) mod clean;
pub(crate) mod delivery;
pub(crate) mod draft;
pub(crate) mod fields;
pub(crate) mod files;
pub(crate) mod form;
pub(crate) mod json;
pub(crate) mod json_object;
pub(crate) mod json_text;
pub(crate) mod media;
pub(crate) mod moment;
pub(crate) mod multipart;
pub(crate) mod names;
pub(crate) mod object;
pub(crate) mod parameters;
pub(crate) mod url;
