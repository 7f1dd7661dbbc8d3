//! Providers of web forms.

pub(crate) mod generic;
pub(crate) mod jotform;
pub(crate) mod tally;
pub(crate) mod typeform;
