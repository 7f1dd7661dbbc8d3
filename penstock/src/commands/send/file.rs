//! A file as the body of a request: what it is, by its name and its first line. Pure.

use std::path::Path;

/// The media type that a provider would give a body of this name.
pub(crate) fn media_type(path: &Path, body: &[u8]) -> String {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    match extension.to_ascii_lowercase().as_str() {
        "json" => "application/json".to_owned(),
        "form" | "urlencoded" => "application/x-www-form-urlencoded".to_owned(),
        "multipart" => boundary(body).map_or_else(
            || "multipart/form-data".to_owned(),
            |boundary| format!("multipart/form-data; boundary=\"{boundary}\""),
        ),
        "eml" | "mime" => "message/rfc822".to_owned(),
        "xml" => "application/xml".to_owned(),
        "txt" | "text" => "text/plain; charset=utf-8".to_owned(),
        _ => "application/octet-stream".to_owned(),
    }
}

/// A multipart body begins with its boundary.
fn boundary(body: &[u8]) -> Option<String> {
    let line = body.split(|byte| *byte == b'\n').next()?;
    let boundary = std::str::from_utf8(line).ok()?.trim_end().strip_prefix("--")?;
    (!boundary.is_empty() && boundary.len() <= 70 && !boundary.contains('"')).then(|| boundary.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_known_by_its_name_and_a_boundary_by_its_first_line() {
        let kind = |name: &str, body: &[u8]| media_type(Path::new(name), body);
        assert_eq!(kind("a.JSON", b""), "application/json");
        assert_eq!(kind("a.multipart", b"--b x\r\nContent-Disposition"), "multipart/form-data; boundary=\"b x\"");
        assert_eq!(kind("a.multipart", b"broken"), "multipart/form-data");
        assert_eq!(kind("a", b""), "application/octet-stream");
    }
}
