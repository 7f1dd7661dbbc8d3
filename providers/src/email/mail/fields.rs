//! A header block, cut into fields. Values stay the bytes they are, folds included: what they mean depends on the field.
//!
//! Forgiving as mail has to be: the block ends at an empty line, at the first line that is no field (then the body begins
//! with it), or where the bytes end.

use super::lines;

/// Fields kept of a mail's header, which has a few dozen.
pub(super) const OF_MAIL: usize = 10_000;
/// Fields kept of a part's header, and of a group in a report.
pub(super) const OF_PART: usize = 64;

/// One field.
pub(super) struct Field<'a> {
    pub(super) name: &'a str,
    pub(super) value: &'a [u8],
}

/// The fields of a block, in order.
#[derive(Default)]
pub(super) struct Fields<'a> {
    pub(super) list: Vec<Field<'a>>,
    /// There were more than are kept.
    pub(super) cut: bool,
}

impl<'a> Fields<'a> {
    /// The first field of this name: where a field that may be there once is there twice, the second was added later, or
    /// by somebody who counts on readers that disagree.
    pub(super) fn first(&self, name: &str) -> Option<&'a [u8]> {
        self.list.iter().find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
    }

    /// The first field of this name, decoded.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.first(name).map(|value| super::words::decode(value).0).filter(|text| !text.is_empty())
    }
}

/// Reads the block at `from`, and says where the body begins. Of the fields that `keep` chooses by name, `most` are kept;
/// `stop` says whether a line is none of this block's, because it parts the whole that the block is in.
pub(super) fn read<'a>(
    bytes: &'a [u8],
    mut from: usize,
    most: usize,
    keep: impl Fn(&str) -> bool,
    stop: impl Fn(&[u8]) -> bool,
) -> (Fields<'a>, usize) {
    let mut fields = Fields::default();
    // The field in hand: its name, where its value begins and ends so far.
    let mut open: Option<(&'a str, usize, usize)> = None;
    let body = loop {
        let (end, next) = lines::end(bytes, from);
        let line = bytes.get(from..end).unwrap_or_default();
        match line.first() {
            None => break next,
            Some(b' ' | b'\t') if open.is_some() => {
                if let Some((_, _, until)) = &mut open {
                    *until = end;
                }
            }
            Some(b'-') if line.starts_with(b"--") && stop(line) => break from,
            Some(_) => {
                close(bytes, &mut fields, open.take(), most, &keep);
                match split(line) {
                    Some((name, value)) => open = Some((name, from + value, end)),
                    None if is_mailbox_line(line) => {}
                    None => break from,
                }
            }
        }
        if next >= bytes.len() {
            break bytes.len();
        }
        from = next;
    };
    close(bytes, &mut fields, open.take(), most, &keep);
    (fields, body)
}

fn close<'a>(
    bytes: &'a [u8],
    fields: &mut Fields<'a>,
    open: Option<(&'a str, usize, usize)>,
    most: usize,
    keep: &impl Fn(&str) -> bool,
) {
    let Some((name, start, end)) = open else { return };
    if !keep(name) {
        return;
    }
    if fields.list.len() == most {
        fields.cut = true;
        return;
    }
    fields.list.push(Field { name, value: bytes.get(start..end).unwrap_or_default() });
}

/// The name of the field that a line begins, and where in the line its value begins.
fn split(line: &[u8]) -> Option<(&str, usize)> {
    let colon = memchr::memchr(b':', line)?;
    let name = std::str::from_utf8(line.get(..colon)?).ok()?.trim_end_matches([' ', '\t']);
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
    is_name.then_some((name, colon + 1))
}

/// `From ` and `>From `: what mailbox files have before each message, and what is left of it.
fn is_mailbox_line(line: &[u8]) -> bool {
    line.starts_with(b"From ") || line.starts_with(b">From ")
}

/// Where a message really begins: after a byte order mark and empty lines.
pub(super) fn beginning(bytes: &[u8]) -> usize {
    let mut from = if bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    while matches!(bytes.get(from), Some(b'\r' | b'\n')) {
        from += 1;
    }
    from
}

/// A header block of what a provider gives as pairs. A line break in a value ends no field.
pub(crate) fn header_block<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in pairs {
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':') {
            continue;
        }
        block.extend_from_slice(name.as_bytes());
        block.extend_from_slice(b": ");
        let lines = value.split(['\r', '\n']).filter(|line| !line.is_empty());
        for (place, line) in lines.enumerate() {
            // A line break before a blank is folding, and only that is taken out.
            if place > 0 && !line.starts_with([' ', '\t']) {
                block.push(b' ');
            }
            block.extend_from_slice(line.as_bytes());
        }
        block.extend_from_slice(b"\r\n");
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> (Vec<(String, String)>, String) {
        let bytes = text.as_bytes();
        let (fields, body) = read(bytes, beginning(bytes), OF_MAIL, |_| true, |_| false);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let list = fields.list.iter().map(|field| (field.name.to_owned(), text(field.value)));
        (list.collect(), text(&bytes[body..]))
    }

    #[test]
    fn a_block_is_read_whatever_its_line_ends() {
        let expected = [("A".to_owned(), " 1".to_owned()), ("B-c".to_owned(), "2".to_owned())];
        for end in ["\r\n", "\n", "\r", "\r\r\n"] {
            let text = format!("\u{feff}{end}From x Sat{end}A: 1{end}B-c :2{end}{end}body{end}");
            assert_eq!(pairs(&text), (expected.to_vec(), format!("body{end}")), "{end:?}");
        }
    }

    #[test]
    fn a_block_without_an_end_keeps_what_follows() {
        let (fields, body) = pairs("A: 1\r\n folded\r\nno field\r\nB: 2\r\n");
        assert_eq!(fields, [("A".to_owned(), " 1\r\n folded".to_owned())]);
        assert_eq!(body, "no field\r\nB: 2\r\n");
        assert_eq!(pairs("hello\n\nworld"), (Vec::new(), "hello\n\nworld".to_owned()));
        assert_eq!(pairs("A: 1").0, [("A".to_owned(), " 1".to_owned())]);
    }

    #[test]
    fn many_fields_are_bounded() {
        let text = "a:\n".repeat(3_000);
        let (fields, _) = read(text.as_bytes(), 0, 100, |_| true, |_| false);
        assert!(fields.list.len() == 100 && fields.cut);
    }

    #[test]
    fn pairs_become_a_block_in_which_no_value_makes_a_field() {
        let folded = ("Folded", "a\r\n b\n\tc\r\n");
        let block = header_block([("Subject", "a\r\nBcc: x"), ("bad name", "x"), ("", "x"), folded, ("X", "é")]);
        assert_eq!(block, "Subject: a Bcc: x\r\nFolded: a b\tc\r\nX: é\r\n".as_bytes());
    }
}
