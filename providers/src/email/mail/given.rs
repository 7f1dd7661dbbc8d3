//! Text and HTML from a provider that has taken the mail apart: held to what is held to where they are read here.

use bytes::Bytes;

use super::attached::{About, Attached};
use super::{Mail, content, lines, text};

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Given {
    Text,
    Html,
}

impl Mail {
    /// Takes a text in this character set; in what it looks like where none is named. An empty one is none: providers post
    /// a field for a text that the mail does not have. One that is too long for a column is an attachment.
    pub(crate) fn give(&mut self, which: Given, bytes: &Bytes, charset: Option<&str>) {
        let (column, content_type) = match which {
            Given::Text => ("text", "text/plain"),
            Given::Html => ("html", "text/html"),
        };
        if bytes.len() > content::TEXT {
            self.notes.note(column, "length");
            let about = About {
                content_type: Some(content_type.to_owned()),
                disposition: Some("inline".to_owned()),
                ..About::default()
            };
            return self.attachments.push(Attached::of(about, bytes.clone()));
        }
        let (text, replaced) = text::decode(bytes, charset);
        self.note_charset(column, replaced);
        let mut text = lines::unify(text);
        text.truncate(text.trim_end_matches('\n').len());
        let text = Some(text).filter(|text| !text.is_empty());
        match which {
            Given::Text => self.text = text,
            Given::Html => self.html = text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_given_text_is_kept_like_one_that_was_read() {
        let mut mail = Mail::default();
        mail.give(Given::Text, &Bytes::from_static(b"caf\x82\r\na\rb\r\n\r\n"), Some("cp850"));
        mail.give(Given::Html, &Bytes::from_static(b"<p>\xff</p>"), Some("utf-8"));
        assert_eq!(mail.text.as_deref(), Some("café\na\nb"));
        assert_eq!(mail.html.as_deref(), Some("<p>\u{fffd}</p>"));
        assert!(mail.undecodable);
    }

    #[test]
    fn a_text_that_is_too_long_for_its_column_is_kept_whole() {
        let mut mail = Mail::default();
        let long = Bytes::from(vec![b'x'; content::TEXT + 1]);
        mail.give(Given::Text, &long, None);
        assert_eq!(mail.text, None);
        assert_eq!(mail.attachments[0].file.as_ref().unwrap().bytes, long);
        assert_eq!(mail.notes.into_notes()[0].reason, "length");
    }
}
