//! Values as YAML: block style, two spaces, no anchors. Texts are plain where every YAML reader
//! reads them as text, else quoted; texts of several lines are literal blocks where they can be.

use std::fmt::Write;

use super::value::{Entry, Node, Value};
use crate::item::{Scalar, Type};

/// The whole document; with origins, each value's story is a comment behind it.
pub(super) fn write(root: &Value, origins: bool) -> String {
    let mut writer = Writer { out: String::new(), origins };
    writer.map(root.entries(), 0);
    writer.out
}

struct Writer {
    out: String,
    origins: bool,
}

impl Writer {
    fn map(&mut self, entries: &[Entry], indent: usize) {
        for (index, entry) in entries.iter().enumerate() {
            // The first key of an item stands behind its dash.
            if index > 0 || !self.out.ends_with("- ") {
                self.indent(indent);
            }
            self.out.push_str(&scalar(&entry.key));
            self.out.push(':');
            self.value(&entry.value, indent);
        }
    }

    /// What stands behind a key, at whose indentation nested values begin.
    fn value(&mut self, value: &Value, indent: usize) {
        match &value.node {
            Node::Map(entries) if !entries.is_empty() => {
                self.out.push('\n');
                self.map(entries, indent + 2);
            }
            Node::List(items) if !items.is_empty() => {
                self.out.push('\n');
                self.list(items, indent + 2);
            }
            _ => {
                self.out.push(' ');
                self.leaf(value, indent + 2);
            }
        }
    }

    fn list(&mut self, items: &[Value], indent: usize) {
        for item in items {
            self.indent(indent);
            self.out.push_str("- ");
            match &item.node {
                Node::Map(entries) if !entries.is_empty() => self.map(entries, indent + 2),
                // A list in a list occurs in `x-` keys only.
                Node::List(below) if !below.is_empty() => {
                    self.out.pop();
                    self.out.push('\n');
                    self.list(below, indent + 2);
                }
                _ => self.leaf(item, indent + 2),
            }
        }
    }

    fn leaf(&mut self, value: &Value, indent: usize) {
        let block = match &value.node {
            Node::Null => push(&mut self.out, "null"),
            Node::Bool(flag) => push(&mut self.out, if *flag { "true" } else { "false" }),
            Node::Number(text) => push(&mut self.out, text),
            Node::List(_) => push(&mut self.out, "[]"),
            Node::Map(_) => push(&mut self.out, "{}"),
            Node::Text(text) => match header(text) {
                Some(header) => {
                    self.out.push_str(header);
                    Some(text)
                }
                None => push(&mut self.out, &scalar(text)),
            },
        };
        if let (true, Some(at)) = (self.origins, &value.at) {
            let _ = write!(self.out, "  # {}", at.story().replace('\n', " "));
        }
        self.out.push('\n');
        for line in block.into_iter().flat_map(|text| text.lines()) {
            if !line.is_empty() {
                self.indent(indent);
            }
            self.out.push_str(line);
            self.out.push('\n');
        }
    }

    fn indent(&mut self, indent: usize) {
        self.out.extend(std::iter::repeat_n(' ', indent));
    }
}

fn push<'a>(out: &mut String, text: &str) -> Option<&'a String> {
    out.push_str(text);
    None
}

/// How a literal block of this text begins, where it can be one.
fn header(text: &str) -> Option<&'static str> {
    let simple = |line: &str| !line.trim().is_empty() || line.is_empty();
    let readable = |c: char| c == '\n' || is_printable(c);
    if !text.contains('\n')
        || text.starts_with([' ', '\t', '\n'])
        || text.ends_with("\n\n")
        || !text.chars().all(readable)
        || !text.lines().all(simple)
    {
        return None;
    }
    Some(if text.ends_with('\n') { "|" } else { "|-" })
}

fn is_printable(c: char) -> bool {
    !keel_plain::is_unsafe(c)
}

/// A text on one line.
fn scalar(text: &str) -> String {
    if is_plain(text) { text.to_owned() } else { quoted(text) }
}

/// Whether every reader, those of YAML 1.1 included, reads it as this text without quotes.
fn is_plain(text: &str) -> bool {
    let first = |c: char| c.is_alphanumeric() || matches!(c, '/' | '.' | '_');
    let inside = |c: char| c.is_alphanumeric() || " _./:@%+=,-$~{}()*&;!?|<>[]'^".contains(c);
    let number_like = text.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && text.chars().all(|c| c.is_ascii_hexdigit() || "_.:+-xXoO".contains(c));
    let words = ["yes", "no", "on", "off", "y", "n", "true", "false", "null"];
    let typed = Scalar { text: text.to_owned(), plain: true, lead: None }.ty() != Type::Text;
    text.starts_with(first)
        && text.chars().all(inside)
        && !number_like
        && !typed
        && !words.contains(&text.to_ascii_lowercase().as_str())
        && !text.contains(": ")
        && !text.ends_with([':', ' '])
        && text != "..."
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if is_printable(c) => out.push(c),
            c if u32::from(c) > 0xffff => {
                let _ = write!(out, "\\U{:08X}", u32::from(c));
            }
            c => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_as_they_are_written() {
        let cases = [
            ("nginx:1.29", "nginx:1.29"),
            ("/srv/data", "/srv/data"),
            ("a b", "a b"),
            ("", r#""""#),
            ("1.0", r#""1.0""#),
            ("22:22", r#""22:22""#),
            ("0755", r#""0755""#),
            ("2024-01-01", r#""2024-01-01""#),
            ("yes", r#""yes""#),
            ("null", r#""null""#),
            ("a: b", r#""a: b""#),
            ("- a", r#""- a""#),
            ("a #b", r##""a #b""##),
            ("*a", r#""*a""#),
            ("a\tb\u{1}", r#""a\tb\u0001""#),
            ("a\u{202e}b\u{e0041}", r#""a\u202Eb\U000E0041""#),
            ("say \"hi\"", r#""say \"hi\"""#),
        ];
        for (text, wanted) in cases {
            assert_eq!(scalar(text), wanted);
        }
    }

    #[test]
    fn blocks_only_where_they_are_read_back() {
        assert_eq!(header("a\nb\n"), Some("|"));
        assert_eq!(header("a\nb"), Some("|-"));
        for text in ["a", " a\nb", "\na", "a\n\n", "a\r\nb", "a\n  \nb"] {
            assert_eq!(header(text), None, "{text:?}");
        }
    }
}
