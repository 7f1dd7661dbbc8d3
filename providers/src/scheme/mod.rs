//! Ways to verify that more than one provider uses. All compare in constant time and look at every live secret.

pub(crate) mod challenge;
pub(crate) mod hmac;
pub(crate) mod in_url;
pub(crate) mod jwt;
pub(crate) mod mac;
pub(crate) mod mailgun;
pub(crate) mod messagebird;
pub(crate) mod optional;
pub(crate) mod p256;
pub(crate) mod rsa;
pub(crate) mod sendgrid;
pub(crate) mod sns;
pub(crate) mod standard;
pub(crate) mod token;
pub(crate) mod twilio;
pub(crate) mod url_key;
pub(crate) mod vonage;
