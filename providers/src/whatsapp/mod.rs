//! Providers of WhatsApp messages.

mod cloud;
pub(crate) mod meta;
