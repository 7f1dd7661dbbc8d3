//! Telephone numbers as providers write them that leave out the `+` of E.164.

use super::address;

/// A number in E.164: digits that are long enough to have a country code, or what [`address::phone`] takes. Short codes
/// and names stay as they are.
pub(crate) fn international(text: &str) -> Option<String> {
    let text = text.trim();
    let is_number = (8..=15).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    // No country code begins with 0.
    if is_number && !text.starts_with('0') { Some(format!("+{text}")) } else { address::phone(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_with_a_country_code_are_e164_and_short_codes_are_not() {
        assert_eq!(international(" 14155557225 ").unwrap(), "+14155557225");
        assert_eq!(international("+14155557225").unwrap(), "+14155557225");
        for text in ["72345", "ACME", "0301234567", "1234567890123456"] {
            assert_eq!(international(text).unwrap(), text);
        }
        assert_eq!(international(" "), None);
    }
}
