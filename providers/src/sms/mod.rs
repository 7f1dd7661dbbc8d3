//! Providers of SMS and MMS.

pub(crate) mod bird;
pub(crate) mod messagebird;
pub(crate) mod plivo;
pub(crate) mod sinch;
pub(crate) mod twilio;
pub(crate) mod vonage;
pub(crate) mod vonage_messages;
