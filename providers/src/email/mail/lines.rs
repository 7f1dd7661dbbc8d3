//! Where lines of an e-mail end: CRLF by the standard; LF, a bare CR and CR CR LF in what relays, mailboxes and scripts
//! make of it. All of them may occur in one message.

use std::sync::LazyLock;

use memchr::memchr2;
use memchr::memmem::Finder;

/// Made once: a mail may have a million lines that begin with dashes.
static DASHES: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"--"));

/// Where the line at `from` ends, and where the next one begins. A line without an end ends with the bytes.
pub(super) fn end(bytes: &[u8], from: usize) -> (usize, usize) {
    let rest = bytes.get(from..).unwrap_or_default();
    let Some(length) = memchr2(b'\r', b'\n', rest) else { return (bytes.len(), bytes.len()) };
    let end = from + length;
    (end, after_break(bytes, end))
}

/// Where the line begins that follows the line break at `at`. Several CR before a LF are one break, or the second would
/// be an empty line, and end the header.
fn after_break(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    let returns = rest.iter().take_while(|byte| **byte == b'\r').count();
    match rest.get(returns) {
        Some(b'\n') => at + returns + 1,
        _ => at + 1,
    }
}

/// The bytes before `at`, the start of a line, without the line break that ends the line before.
pub(super) fn without_break(bytes: &[u8], start: usize, at: usize) -> &[u8] {
    let piece = bytes.get(start..at).unwrap_or_default();
    match piece {
        [rest @ .., b'\r', b'\n'] | [rest @ .., b'\n' | b'\r'] => rest,
        _ => piece,
    }
}

/// The first line at or after `from` that begins with `--`: where it begins, ends, and where the next line begins.
/// `from` is itself the start of a line.
pub(super) fn dashed(bytes: &[u8], mut from: usize) -> Option<(usize, usize, usize)> {
    let start = from;
    loop {
        let at = from + DASHES.find(bytes.get(from..)?)?;
        let begins =
            at == start || matches!(at.checked_sub(1).and_then(|before| bytes.get(before)), Some(b'\r' | b'\n'));
        if begins {
            let (end, next) = end(bytes, at);
            return Some((at, end, next));
        }
        // The second dash may be the first of the next pair.
        from = at + 1;
    }
}

/// One kind of line end, for texts that people read.
pub(super) fn unify(text: String) -> String {
    if text.contains('\r') { text.replace("\r\n", "\n").replace('\r', "\n") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_line_end_ends_a_line_once() {
        for text in ["a\r\nb", "a\nb", "a\rb", "a\r\r\nb"] {
            let (end, next) = end(text.as_bytes(), 0);
            assert_eq!((&text[..end], &text[next..]), ("a", "b"), "{text:?}");
        }
        assert_eq!(end(b"a\r\rb", 0), (1, 2), "two bare CR are two lines");
        assert_eq!(end(b"a", 0), (1, 1));
    }

    #[test]
    fn dashes_count_only_where_a_line_begins() {
        assert_eq!(dashed(b"a--b\r\n---c", 0), Some((6, 10, 10)));
        assert_eq!(dashed(b"--\nx", 0), Some((0, 2, 3)));
        assert_eq!(dashed(b"a -- b", 0), None);
    }
}
