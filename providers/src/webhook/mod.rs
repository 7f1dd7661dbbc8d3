//! Senders of any other webhook.

pub(crate) mod basic;
pub(crate) mod bearer;
pub(crate) mod cloudevents;
pub(crate) mod github;
pub(crate) mod hmac;
pub(crate) mod none;
pub(crate) mod payload;
pub(crate) mod standard;
