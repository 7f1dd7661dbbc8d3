//! Providers of WhatsApp messages.

mod cloud;
pub(crate) mod dialog360;
pub(crate) mod meta;
mod person;
pub(crate) mod twilio;
