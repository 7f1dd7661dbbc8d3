//! Providers of web forms.

pub(crate) mod generic;
mod hosted;
pub(crate) mod jotform;
mod provider;
pub(crate) mod tally;
pub(crate) mod typeform;
