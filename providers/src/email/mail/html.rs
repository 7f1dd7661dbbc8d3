//! A text made of HTML, for whoever wants one where the sender wrote none. It is for reading and searching, and looks
//! at each byte once, however the markup is broken.
//!
//! `mail-parser` knows the names of characters; its own way from HTML to text runs a heading and what follows into one
//! word.

use mail_parser::decoders::html::add_html_token;
use memchr::{memchr, memchr2, memmem};

/// Bytes of HTML that are looked at.
const HTML: usize = 256 * 1024;
/// Bytes of the longest name of a character, with `&` and `;`.
const NAME: usize = 34;

/// The text, without markup; the second value says whether the HTML was longer than is looked at. `None` where nothing
/// is left.
pub(super) fn to_text(html: &str) -> (Option<String>, bool) {
    let end = (0..=HTML.min(html.len())).rev().find(|end| html.is_char_boundary(*end)).unwrap_or(0);
    let mut text = Text::default();
    let mut rest = html.get(..end).unwrap_or_default();
    while let Some(at) = memchr2(b'<', b'&', rest.as_bytes()) {
        let (plain, markup) = rest.split_at(at);
        text.plain(plain);
        rest = if markup.starts_with('&') { character(markup, &mut text) } else { tag(markup, &mut text) };
    }
    text.plain(rest);
    (Some(text.out).filter(|out| !out.is_empty()), end < html.len())
}

/// What has been read: white space in a row is one blank, or the line breaks that the markup asks for.
#[derive(Default)]
struct Text {
    out: String,
    gap: Gap,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Gap {
    #[default]
    None,
    Blank,
    Line,
    Paragraph,
}

impl Text {
    fn plain(&mut self, text: &str) {
        let mut words = text.split_ascii_whitespace().peekable();
        if words.peek().is_none() || text.starts_with(|character: char| character.is_ascii_whitespace()) {
            self.wants(if text.is_empty() { Gap::None } else { Gap::Blank });
        }
        while let Some(word) = words.next() {
            self.word(word);
            if words.peek().is_some() || text.ends_with(|character: char| character.is_ascii_whitespace()) {
                self.wants(Gap::Blank);
            }
        }
    }

    fn word(&mut self, word: &str) {
        if !self.out.is_empty() {
            self.out.push_str(match self.gap {
                Gap::None => "",
                Gap::Blank => " ",
                Gap::Line => "\n",
                Gap::Paragraph => "\n\n",
            });
        }
        self.gap = Gap::None;
        self.out.push_str(word);
    }

    fn wants(&mut self, gap: Gap) {
        self.gap = self.gap.max(gap);
    }
}

/// Takes `&name;` off the beginning; an `&` that names nothing stands for itself.
fn character<'a>(markup: &'a str, text: &mut Text) -> &'a str {
    let named = markup.bytes().take(NAME).position(|byte| byte == b';').map(|end| markup.split_at(end + 1));
    let Some((name, rest)) = named.filter(|(name, _)| name.bytes().skip(1).all(|byte| byte.is_ascii_graphic())) else {
        text.word("&");
        return markup.get(1..).unwrap_or_default();
    };
    let mut found = String::new();
    add_html_token(&mut found, name.as_bytes(), false);
    match found.as_str() {
        "\u{a0}" => text.wants(Gap::Blank),
        found => text.word(found),
    }
    rest
}

/// Takes a tag or a comment off the beginning, and with it what is not for reading.
fn tag<'a>(markup: &'a str, text: &mut Text) -> &'a str {
    let after = |at: Option<usize>, length: usize| at.and_then(|at| markup.get(at + length..)).unwrap_or_default();
    if markup.starts_with("<!--") {
        return after(memmem::find(markup.as_bytes(), b"-->"), 3);
    }
    let inner = markup.get(1..).unwrap_or_default();
    let closes = inner.starts_with('/');
    let inner = inner.trim_start_matches('/');
    let length = inner.bytes().take_while(u8::is_ascii_alphanumeric).count();
    if length == 0 && !inner.starts_with(['!', '?']) {
        text.word("<");
        return markup.get(1..).unwrap_or_default();
    }
    let name = inner.get(..length).unwrap_or_default().to_ascii_lowercase();
    let rest = after_tag(inner);
    match name.as_str() {
        "br" | "div" | "tr" | "li" | "hr" | "dt" | "dd" | "section" | "article" | "header" | "footer" | "option" => {
            text.wants(Gap::Line);
        }
        "p" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "ul" | "ol" | "dl" | "table" | "blockquote" | "pre" => {
            text.wants(Gap::Paragraph);
        }
        "td" | "th" => text.wants(Gap::Blank),
        "head" | "script" | "style" | "title" | "template" if !closes => return after_element(rest, &name),
        _ => {}
    }
    rest
}

/// What follows the `>` that ends a tag and stands in no quotes.
fn after_tag(inner: &str) -> &str {
    let mut quote = None;
    for (at, byte) in inner.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return inner.get(at + 1..).unwrap_or_default(),
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), byte) if open == byte => quote = None,
            _ => {}
        }
    }
    ""
}

/// What follows the end of an element that is not for reading.
fn after_element<'a>(mut rest: &'a str, name: &str) -> &'a str {
    while let Some(at) = memchr(b'<', rest.as_bytes()) {
        let markup = rest.get(at + 1..).unwrap_or_default();
        let ends = markup.strip_prefix('/').and_then(|markup| markup.get(..name.len()));
        if ends.is_some_and(|end| end.eq_ignore_ascii_case(name)) {
            return after_tag(markup);
        }
        rest = markup;
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_goes_and_what_is_read_stays() {
        let html = "<html><head><title>t</title><style>p{}</style></head><body><h1>Größe</h1><p>a  &amp;\n<b>b</b>ar<br>c</p>\
                    <script>x<y</script><!-- > --><p title='>'>&lt;d&gt; &#8364;&nbsp;&nbsp;e &nope; &amp 1 < 2</p>\n";
        assert_eq!(to_text(html).0.unwrap(), "Größe\n\na & bar\nc\n\n<d> € e &nope; &amp 1 < 2");
        assert_eq!(to_text("<img src=\"cid:x\">"), (None, false));
    }

    #[test]
    fn hostile_markup_is_bounded() {
        for piece in ["<", "<a ", "&#", "<!--", "&#x110000;", "é<", "<p>ü", "&;", "<script>", "</", "<a \"", "\u{0}&"]
        {
            let (text, cut) = to_text(&piece.repeat(300_000));
            assert!(cut && text.unwrap_or_default().len() <= 4 * HTML, "{piece}");
        }
    }
}
