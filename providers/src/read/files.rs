//! What comes with a message: by reference, or as the bytes themselves.

use proto::Attachment;
use serde_json::Value;

use super::draft::Draft;

/// Adds a file that the provider keeps. Where it is tells its content from another.
pub(crate) fn refer(
    draft: &mut Draft,
    location: Option<String>,
    content_type: Option<String>,
    filename: Option<String>,
) {
    draft.content.attachments.extend(location.clone());
    let disposition = Some("attachment".to_owned());
    draft.attachments.push(Attachment { filename, content_type, location, disposition, ..Attachment::default() });
}

/// Adds the bytes of a binary text message, and says whether its user data header makes it one part of several. What
/// the provider wrote is kept by the caller: the bytes are few.
pub(crate) fn binary(draft: &mut Draft, bytes: Vec<u8>, header: &str) {
    let content_type = Some("application/octet-stream".to_owned());
    let hash = draft.attach(bytes.into(), Attachment { content_type, ..Attachment::default() });
    draft.content.attachments.push(format!("{hash} {header}"));
    for (name, value) in ["concat_ref", "concat_total", "concat_part"].into_iter().zip(concatenation(header)) {
        draft.metadata.insert(name.to_owned(), Value::from(value));
    }
}

/// Reference, total and number of a part (3GPP TS 23.040, 9.2.3.24.1 and 9.2.3.24.8); nothing where it is none.
fn concatenation(header: &str) -> Vec<u16> {
    let Ok(bytes) = hex::decode(header) else { return Vec::new() };
    parts_of(&bytes).map_or_else(Vec::new, Vec::from)
}

fn parts_of(header: &[u8]) -> Option<[u16; 3]> {
    let (length, mut rest) = header.split_first()?;
    rest = rest.get(..usize::from(*length))?;
    while let [kind, length, after @ ..] = rest {
        let (data, next) = after.split_at_checked(usize::from(*length))?;
        match (kind, data) {
            (0, [reference, total, part]) => return Some([*reference, *total, *part].map(u16::from)),
            (8, [high, low, total, part]) => {
                return Some([u16::from_be_bytes([*high, *low]), u16::from(*total), u16::from(*part)]);
            }
            _ => rest = next,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_data_header_says_which_part_it_is() {
        assert_eq!(concatenation("050003860201"), [0x86, 2, 1]);
        assert!(concatenation("0A0504158A00000003020301").is_empty(), "cut off");
        assert_eq!(concatenation("06080412340302"), [0x1234, 3, 2]);
        assert_eq!(concatenation("0B0504158A00000003FF0201"), [0xff, 2, 1], "after ports");
        for header in ["", "zz", "00", "0500", "06050415811581"] {
            assert!(concatenation(header).is_empty(), "{header}");
        }
    }
}
