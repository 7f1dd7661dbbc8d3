//! Every adapter there is: one line each. See the crate's documentation for how to add one.

use proto::Channel;

use crate::adapter::Adapter;
use crate::{email, form, sms, webhook, whatsapp};

/// Every adapter.
pub const ALL: &[&dyn Adapter] = &[
    &sms::twilio::Twilio,
    &sms::vonage::Vonage,
    &sms::vonage_messages::VonageMessages,
    &sms::messagebird::MessageBird,
    &sms::bird::Bird,
    &sms::sinch::Sinch,
    &sms::plivo::Plivo,
    &whatsapp::meta::Meta,
    &whatsapp::dialog360::Dialog360,
    &whatsapp::twilio::Twilio,
    &email::postmark::Postmark,
    &email::mime::Mime,
    &email::sendgrid::SendGrid,
    &email::mailgun::Mailgun,
    &email::ses::Ses,
    &form::generic::GENERIC,
    &form::typeform::TYPEFORM,
    &form::tally::TALLY,
    &form::jotform::JOTFORM,
    &webhook::standard::Standard,
    &webhook::github::GitHub,
    &webhook::hmac::Hmac,
    &webhook::bearer::Bearer,
    &webhook::basic::Basic,
    &webhook::none::Open,
    &webhook::cloudevents::CloudEvents,
];

/// The adapter of a channel's provider.
pub fn find(channel: Channel, provider: &str) -> Option<&'static dyn Adapter> {
    ALL.iter().copied().find(|adapter| adapter.channel() == channel && adapter.name() == provider)
}

/// The names of a channel's providers: what `provider` may be.
pub fn names(channel: Channel) -> Vec<&'static str> {
    ALL.iter().filter(|adapter| adapter.channel() == channel).map(|adapter| adapter.name()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_name_means_one_adapter_of_its_channel() {
        let mut seen = HashSet::new();
        for adapter in ALL {
            assert!(seen.insert((adapter.channel(), adapter.name())), "{adapter:?} is there twice");
            assert!(find(adapter.channel(), adapter.name()).is_some());
        }
        assert!(find(Channel::Email, "twilio").is_none());
    }

    #[test]
    fn every_contract_can_be_answered() {
        for adapter in ALL {
            let contract = adapter.contract();
            assert!(!contract.methods.is_empty(), "{adapter:?} takes no method");
            assert!(!contract.retries.is_empty(), "{adapter:?} does not say what its provider does");
        }
    }
}
