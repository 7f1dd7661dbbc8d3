//! The names that metadata has.

/// `FromCity` and `fromCity` as `from_city`, `ParentMessageUUID` as `parent_message_uuid`: a word begins where capitals
/// do.
pub(crate) fn snake_case(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    let mut before_is_capital = true;
    for character in name.chars() {
        if character.is_ascii_uppercase() && !before_is_capital && !out.ends_with('_') {
            out.push('_');
        }
        before_is_capital = character.is_ascii_uppercase();
        out.push(character.to_ascii_lowercase());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_its_words_apart() {
        assert_eq!(snake_case("FromCity"), "from_city");
        assert_eq!(snake_case("lastStatusAt"), "last_status_at");
        assert_eq!(snake_case("from_City"), "from_city");
        assert_eq!(snake_case("ParentMessageUUID"), "parent_message_uuid");
        assert_eq!(["MCC", "type", "MediaUrl0"].map(snake_case), ["mcc", "type", "media_url0"]);
    }
}
