//! Providers of SMS and MMS.

pub(crate) mod plivo;
pub(crate) mod sinch;
pub(crate) mod twilio;
