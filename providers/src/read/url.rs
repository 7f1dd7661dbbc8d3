//! URLs that hold a secret in a parameter, for where a record would have one.

/// The URL with `with` in the place of the value of every parameter called `name`, and all else as it is.
pub(crate) fn replace(url: &str, name: &str, with: &str) -> String {
    let Some((base, query)) = url.split_once('?') else { return url.to_owned() };
    let is_named = |piece: &str| form_urlencoded::parse(piece.as_bytes()).next().is_some_and(|(key, _)| key == name);
    let pieces = query.split('&').map(|piece| match piece.split_once('=') {
        Some((key, _)) if is_named(piece) => format!("{key}={with}"),
        _ => piece.to_owned(),
    });
    format!("{base}?{}", pieces.collect::<Vec<_>>().join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_secret_is_replaced_however_its_name_is_written() {
        let replaced = |url: &str| replace(url, "key", "x");
        assert_eq!(replaced("https://h/p?a=1&key=s%26=&b"), "https://h/p?a=1&key=x&b");
        assert_eq!(replaced("https://h/p?%6bey=s#f&monkey=1&key=t"), "https://h/p?%6bey=x&monkey=1&key=x");
        assert_eq!(replaced("https://h/key=s"), "https://h/key=s");
    }
}
