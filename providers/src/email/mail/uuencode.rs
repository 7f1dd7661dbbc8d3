//! uuencode, the way of old mailers to send a file: `begin 644 name`, lines of which the first character is a length,
//! `end`.

use super::lines;

/// The bytes of the file; `None` where there is none, or something beside it, so that what came is kept whole.
pub(super) fn decode(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut rest = lines_of(bytes).skip_while(|line| line.trim_ascii().is_empty());
    rest.next().filter(|line| is_beginning(line))?;
    let mut out = Vec::with_capacity(bytes.len() / 4 * 3);
    for line in rest.by_ref() {
        let Some((length, groups)) = line.split_first() else { continue };
        let length = usize::from(value(*length));
        if length == 0 || line == b"end" {
            break;
        }
        let whole = out.len() + length;
        for group in groups.chunks(4) {
            // Mailers cut blanks off the end of a line, and a blank is a zero.
            let at = |place: usize| group.get(place).copied().map_or(0, |byte| u32::from(value(byte)));
            let word = at(0) << 18 | at(1) << 12 | at(2) << 6 | at(3);
            out.extend(word.to_be_bytes().into_iter().skip(1));
        }
        out.resize(whole, 0);
    }
    // A line of no bytes stands before `end`.
    rest.all(|line| line == b"end" || line.trim_ascii().is_empty()).then_some(out)
}

fn lines_of(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut from = 0;
    std::iter::from_fn(move || {
        (from < bytes.len()).then(|| {
            let (end, next) = lines::end(bytes, from);
            let line = bytes.get(from..end).unwrap_or_default();
            from = next;
            line
        })
    })
}

/// `begin`, three or four octal digits, a name.
fn is_beginning(line: &[u8]) -> bool {
    let Some(rest) = line.strip_prefix(b"begin ") else { return false };
    let digits = rest.iter().take_while(|byte| matches!(byte, b'0'..=b'7')).count();
    (3..=4).contains(&digits) && rest.get(digits) == Some(&b' ')
}

/// Six bits; the grave accent stands for a blank.
fn value(byte: u8) -> u8 {
    byte.wrapping_sub(b' ') & 0x3f
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_and_what_is_none_or_more_than_one_is_left() {
        assert_eq!(decode(b"\r\nbegin 644 hi.txt\r\n#:&D*\r\n`\r\nend\r\n\r\n").unwrap(), b"hi\n");
        assert_eq!(decode(b"begin 644 cat.txt\n#0V%T\n").unwrap(), b"Cat");
        assert_eq!(decode(b"see below\nbegin 644 cat.txt\n#0V%T\nend\n"), None);
        assert_eq!(decode(b"begin 644 cat.txt\n#0V%T\nend\nregards\n"), None);
        assert_eq!(decode(b"begin 644 cat.txt\n#0V%T\nend\nbegin 600 b\n#0V%T\nend\n"), None);
        assert_eq!(decode(b"begin to\nthink"), None);
    }
}
