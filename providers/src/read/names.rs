//! The names that metadata has.

/// `FromCity` and `fromCity` as `from_city`.
pub(crate) fn snake_case(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    for character in name.chars() {
        if character.is_ascii_uppercase() && !out.is_empty() && !out.ends_with('_') {
            out.push('_');
        }
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
    }
}
