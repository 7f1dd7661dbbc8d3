//! What a provider sends, what it wants to hear, and what it does on any other answer: one table of facts per provider,
//! from which the gateway's defaults follow.

use http::Method;

/// The facts about a provider.
#[derive(Debug)]
pub struct Contract {
    /// The methods it uses; anything else is 405, with these in `Allow`.
    pub methods: &'static [Method],
    /// The media types it sends; anything else is 415.
    pub media: Media,
    /// How it wants to hear that the request is stored.
    pub success: Success,
    /// What it does on 401.
    pub on_401: Reaction,
    /// What it does on 429.
    pub on_429: Reaction,
    /// Whether a source over its limit is answered or accepted, where the configuration does not say.
    pub over_limit: OverLimit,
    /// Its retries and timeout in a sentence, for operators, with where it is known from.
    pub retries: &'static str,
    /// The largest body it sends, in bytes, with head-room: what a source takes where its configuration does not say.
    pub max_body: u64,
}

/// One mebibyte, of which most providers need a hundredth.
pub(crate) const MIB: u64 = 1024 * 1024;

/// Media types.
#[derive(Clone, Copy, Debug)]
pub enum Media {
    /// All of them, and none.
    Any,
    /// These, compared without parameters and case; a request without `Content-Type` too.
    Only(&'static [&'static str]),
}

/// The answer to a stored request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Success {
    /// 200 with the gateway's own JSON: `{"id": .., "status": ..}`.
    Json,
    /// 200 with a fixed body.
    Fixed {
        /// The media type.
        content_type: &'static str,
        /// The body.
        body: &'static str,
    },
}

/// What a provider does on an answer that is no success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// It sends the request again later.
    Retries,
    /// It drops the request: answering this loses a message.
    GivesUp,
    /// It is whoever the operator lets in: it may do either.
    Unknown,
}

/// What happens to a request whose signature or credential is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verify {
    /// 401.
    Enforce,
    /// Accepted and counted.
    Observe,
    /// Stored aside, until somebody looks.
    Hold,
}

/// What happens to an authentic request of a source that is over its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OverLimit {
    /// 429 or 503.
    Reject,
    /// Accepted, up to ten times the limit.
    Accept,
}

impl Contract {
    /// What `verify` is where the source does not say: a wrong secret on our side must cost nothing, so a request that
    /// would not come back is held.
    pub fn default_verify(&self) -> Verify {
        match self.on_401 {
            Reaction::GivesUp => Verify::Hold,
            Reaction::Retries | Reaction::Unknown => Verify::Enforce,
        }
    }

    /// The status for an authentic request over a limit: 503 where 429 would lose the message.
    pub fn over_limit_status(&self) -> http::StatusCode {
        match self.on_429 {
            Reaction::GivesUp => http::StatusCode::SERVICE_UNAVAILABLE,
            Reaction::Retries | Reaction::Unknown => http::StatusCode::TOO_MANY_REQUESTS,
        }
    }

    /// Whether the provider sends this `Content-Type`.
    pub fn accepts(&self, content_type: Option<&str>) -> bool {
        let (Media::Only(types), Some(content_type)) = (self.media, content_type) else { return true };
        let essence = crate::read::media::essence(content_type);
        types.iter().any(|known| known.eq_ignore_ascii_case(essence))
    }
}

#[cfg(test)]
mod tests {
    use proto::Channel;

    use super::*;

    fn contract(channel: Channel, provider: &str) -> &'static Contract {
        crate::find(channel, provider).unwrap().contract()
    }

    #[test]
    fn who_does_not_come_back_is_not_sent_away() {
        for (channel, provider) in [(Channel::Sms, "twilio"), (Channel::Webhook, "github")] {
            let contract = contract(channel, provider);
            assert_eq!(contract.default_verify(), Verify::Hold);
            assert_eq!(contract.over_limit, OverLimit::Accept);
            assert_eq!(contract.over_limit_status(), http::StatusCode::SERVICE_UNAVAILABLE);
        }
        let standard = contract(Channel::Webhook, "standard");
        assert_eq!(standard.default_verify(), Verify::Enforce);
        assert_eq!(standard.over_limit_status(), http::StatusCode::TOO_MANY_REQUESTS);
    }

    #[test]
    fn a_media_type_is_compared_without_case_and_parameters() {
        let twilio = contract(Channel::Sms, "twilio");
        assert!(twilio.accepts(None));
        assert!(twilio.accepts(Some("Application/X-WWW-Form-Urlencoded; charset=UTF-8")));
        assert!(!twilio.accepts(Some("multipart/form-data; boundary=x")));
    }
}
