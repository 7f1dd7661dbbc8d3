//! The adapters against the world: recorded signatures and payloads, made-up ones, hostile ones.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets something else has failed"
)]

mod cloudevents;
mod email;
mod forms;
mod hostile;
mod keys;
mod payloads;
mod postmark;
mod sendgrid_mailgun;
mod ses;
mod sinch_plivo;
mod sms;
mod sms_variants;
mod support;
mod vectors;
mod whatsapp;
