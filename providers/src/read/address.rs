//! Addresses in the form in which two of them can be compared.

use proto::{Party, Recipient};
use serde_json::Value;

use super::draft::Draft;

/// An e-mail address with its domain in lower case; anything else as it is, without the space around it.
pub(crate) fn email(text: &str) -> Option<String> {
    let text = text.trim();
    match text.rsplit_once('@') {
        Some((local, domain)) => Some(format!("{local}@{}", domain.to_lowercase())),
        None => Some(text.to_owned()).filter(|text| !text.is_empty()),
    }
}

/// A telephone number in E.164 where it says its country; anything else (a short code, an alphanumeric sender) as it
/// is, without the space around it.
pub(crate) fn phone(text: &str) -> Option<String> {
    let text = text.trim();
    let international = text.strip_prefix('+').or_else(|| text.strip_prefix("00"));
    international.and_then(e164).or_else(|| Some(text.to_owned()).filter(|text| !text.is_empty()))
}

/// As [`phone`], for a provider that always begins with the country and leaves the `+` out. What has fewer digits than
/// any number with its country is a short code.
pub(crate) fn international(text: &str) -> Option<String> {
    e164(text.trim()).or_else(|| phone(text))
}

/// The address as it is, where it is that of an account and no number.
pub(crate) fn account(text: &str) -> Option<String> {
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// Every form in which an adapter may have written an address that a person knows: as it is, as a mail's, as a telephone
/// number with its country. For whoever looks for somebody.
pub fn spellings(text: &str) -> Vec<String> {
    let mut spellings: Vec<String> =
        [account, email, phone, international].iter().filter_map(|read| read(text)).collect();
    spellings.sort_unstable();
    spellings.dedup();
    spellings
}

/// Fills in who wrote to whom, each read by `address`, and keeps what was written where it is not the same.
pub(crate) fn parties(
    draft: &mut Draft,
    from: Option<String>,
    to: Option<String>,
    address: impl Fn(&str) -> Option<String>,
) {
    for (name, written) in [("from_raw", &from), ("to_raw", &to)] {
        if let Some(written) = written.as_ref().filter(|written| address(written).as_ref() != Some(*written)) {
            draft.metadata.insert(name.to_owned(), Value::String(written.clone()));
        }
    }
    draft.sender = from.as_deref().and_then(&address).map(Party::of);
    draft.recipients = to.as_deref().and_then(&address).map(Recipient::to).into_iter().collect();
    draft.content.sender = from;
    draft.content.recipients = to.into_iter().collect();
}

/// E.164 of what stands behind the `+`, if it is such a number.
fn e164(rest: &str) -> Option<String> {
    let kept = rest.chars().filter(|character| !matches!(character, ' ' | '-' | '.' | '(' | ')' | '/' | '\u{a0}'));
    let digits: String = kept.map(|character| Some(character).filter(char::is_ascii_digit)).collect::<Option<_>>()?;
    // E.164 has at most 15 digits, and no country code begins with 0.
    ((7..=15).contains(&digits.len()) && !digits.starts_with('0')).then(|| format!("+{digits}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_lower_case_and_the_rest_is_kept() {
        assert_eq!(email(" Jo.Doe@Example.COM ").unwrap(), "Jo.Doe@example.com");
        assert_eq!(email("\"a@b\"@ÉCOLE.example").unwrap(), "\"a@b\"@école.example");
        assert_eq!(email("nobody").unwrap(), "nobody");
        assert_eq!(email("  "), None);
    }

    #[test]
    fn a_number_with_its_country_is_e164() {
        assert_eq!(phone("+1 (415) 555-1438").unwrap(), "+14155551438");
        assert_eq!(phone("0049 30.1234567").unwrap(), "+49301234567");
        for text in ["72345", "ACME", "030 1234567", "+12", "+0123456789", "+123456789012345678", "+49 x12345678"] {
            assert_eq!(phone(text).unwrap(), text);
        }
    }

    #[test]
    fn an_address_is_looked_for_as_every_adapter_would_write_it() {
        assert_eq!(spellings(" 1 (415) 555-1438"), ["+14155551438", "1 (415) 555-1438"]);
        assert_eq!(spellings("Jo@Example.COM"), ["Jo@Example.COM", "Jo@example.com"]);
        assert!(spellings(" ").is_empty());
    }

    #[test]
    fn a_number_that_always_has_its_country_needs_no_plus() {
        for text in ["14155551438", "+1 415-555-1438", " 1 (415) 555 1438 ", "0014155551438"] {
            assert_eq!(international(text).unwrap(), "+14155551438");
        }
        for text in ["12345", "0123456789", "120363041234567890", "US.13491208655302741918", "ACME"] {
            assert_eq!(international(text).unwrap(), text);
        }
        assert_eq!(international(" "), None);
    }
}
