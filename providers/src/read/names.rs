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
        let names = ["FromCity", "lastStatusAt", "from_City", "Units", "ParentMessageUUID", "MCC", "type", "ServerID"];
        let expected =
            ["from_city", "last_status_at", "from_city", "units", "parent_message_uuid", "mcc", "type", "server_id"];
        assert_eq!(names.map(snake_case), expected);
    }
}
