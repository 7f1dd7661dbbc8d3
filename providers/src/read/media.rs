//! `Content-Type` and its relatives: a value, then parameters that may be quoted, in any case.

/// `application/x-www-form-urlencoded`.
pub(crate) const FORM: &str = "application/x-www-form-urlencoded";
/// `application/json`.
pub(crate) const JSON: &str = "application/json";
/// `multipart/form-data`.
pub(crate) const MULTIPART: &str = "multipart/form-data";

/// The media type without its parameters.
pub(crate) fn essence(value: &str) -> &str {
    value.split(';').next().unwrap_or_default().trim()
}

/// Whether the media type is JSON: `application/json`, or anything that ends in `+json`.
pub(crate) fn is_json(value: &str) -> bool {
    let essence = essence(value).to_ascii_lowercase();
    essence == JSON || essence == "text/json" || essence.ends_with("+json")
}

/// Whether the media type is this one.
pub(crate) fn is(value: &str, expected: &str) -> bool {
    essence(value).eq_ignore_ascii_case(expected)
}

/// Parameters that are read of one value: a body of `;=` would take 24 times its size.
const PARAMETERS: usize = 1_000;

/// The first parameter of this name, unquoted.
pub(crate) fn parameter(value: &str, name: &str) -> Option<String> {
    parameters(value).into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// The parameters, in order. In a quoted value only `\"` and `\\` are escapes: browsers write other backslashes as they
/// are, as in `filename="C:\new.txt"`.
pub(crate) fn parameters(value: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = value.split_once(';').map_or("", |(_, rest)| rest);
    while let Some((name, after)) = rest.split_once('=').filter(|_| found.len() < PARAMETERS) {
        // A parameter without a value, as in `a; b=c`, is none.
        let name = name.rsplit(';').next().unwrap_or_default().trim();
        let (value, after) = one_value(after.trim_start());
        found.push((name.to_owned(), value));
        rest = after;
    }
    found
}

/// A value, and what comes after the `;` that ends it.
fn one_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = text.split_once(';').unwrap_or((text, ""));
        return (value.trim().to_owned(), rest);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => {
                let rest = quoted.get(at + 1..).unwrap_or_default();
                return (value, rest.split_once(';').map_or("", |(_, rest)| rest));
            }
            '\\' => match characters.next_if(|(_, next)| matches!(next, '"' | '\\')) {
                Some((_, escaped)) => value.push(escaped),
                None => value.push('\\'),
            },
            other => value.push(other),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_found_however_they_are_written() {
        let value = r#"FORM-DATA; NAME="a;b=\"c\""; flag; filename="C:\new\\x" ;x = y"#;
        let expected = [("NAME", "a;b=\"c\""), ("filename", r"C:\new\x"), ("x", "y")];
        let expected: Vec<_> = expected.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        assert_eq!(parameters(value), expected);
        assert_eq!(parameter("text/plain; Charset=UTF-8", "charset").unwrap(), "UTF-8");
        assert_eq!(parameters(r#"a; b="unclosed"#), [("b".to_owned(), "unclosed".to_owned())]);
        assert_eq!(parameters("text/plain"), []);
    }

    #[test]
    fn json_has_many_names() {
        for value in ["application/json", "Application/JSON; charset=utf-8", "application/vnd.api+json", "text/json"] {
            assert!(is_json(value), "{value}");
        }
        assert!(!is_json("application/jsonp"));
    }
}
