//! Addresses in the form in which two of them can be compared.

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

/// As [`phone`], for a provider that always begins with the country and leaves the `+` out.
pub(crate) fn international(text: &str) -> Option<String> {
    let text = text.trim();
    let digits = text.strip_prefix('+').unwrap_or(text);
    e164(digits).or_else(|| Some(text.to_owned()).filter(|text| !text.is_empty()))
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
    fn a_number_that_always_has_its_country_needs_no_plus() {
        for text in ["14155551438", "+1 415-555-1438", " 1 (415) 555 1438 "] {
            assert_eq!(international(text).unwrap(), "+14155551438");
        }
        for text in ["12345", "0123456789", "120363041234567890", "US.13491208655302741918"] {
            assert_eq!(international(text).unwrap(), text);
        }
        assert_eq!(international(" "), None);
    }
}
