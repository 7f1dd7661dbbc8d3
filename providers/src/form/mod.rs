//! Providers of web forms.

pub(crate) mod generic;
