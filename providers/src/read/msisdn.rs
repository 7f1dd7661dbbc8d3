//! Numbers of providers that write the country without a `+`.

use proto::{Party, Recipient};
use serde_json::Value;

use super::address;
use super::draft::Draft;

/// The shortest run of digits taken for a number with its country; what is shorter is a short code.
const DIGITS: usize = 7;

/// The number in E.164; anything else (a short code, an alphanumeric sender) as it is.
pub(crate) fn phone(text: &str) -> Option<String> {
    let text = text.trim();
    if text.len() >= DIGITS && !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return address::phone(&format!("+{text}"))
            .map(|number| if number.len() > 16 { text.to_owned() } else { number });
    }
    address::phone(text)
}

/// Fills in who wrote to whom, and keeps what was written where it is not the same.
pub(crate) fn parties(draft: &mut Draft, from: Option<String>, to: Option<String>) {
    for (name, written) in [("from_raw", &from), ("to_raw", &to)] {
        if let Some(written) = written.as_ref().filter(|written| phone(written).as_ref() != Some(*written)) {
            draft.metadata.insert(name.to_owned(), Value::String(written.clone()));
        }
    }
    draft.sender = from.as_deref().and_then(phone).map(Party::of);
    draft.recipients = to.as_deref().and_then(phone).map(Recipient::to).into_iter().collect();
    draft.content.sender = from;
    draft.content.recipients = to.into_iter().collect();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_with_their_country_are_e164() {
        assert_eq!(phone("447700900751").unwrap(), "+447700900751");
        assert_eq!(phone("+447700900751").unwrap(), "+447700900751");
        assert_eq!(phone("00447700900751").unwrap(), "+447700900751");
        for text in ["72345", "ACME", "0301234567", "1234567890123456"] {
            assert_eq!(phone(text).unwrap(), text);
        }
        assert_eq!(phone(" "), None);
    }
}
