//! Text from outside, made fit for a terminal or a log line. Pure.
//!
//! What containers, images, registries, Git servers and pushers say may hold sequences that change a
//! terminal's title or clipboard, hide text, or imitate a line of ours. Such text is stored as it
//! came and escaped where it is shown: `ESC` becomes `\u{1b}`, a line break within a line `\n`.
//!
//! # Invariants
//! - [`line`] gives one line; [`text`] keeps line breaks and tabs. Neither gives anything else that a
//!   terminal acts on, hides, or shows in another order.
//! - Both are idempotent.

use std::borrow::Cow;

/// As one line: line breaks and tabs are escaped, too.
#[must_use]
pub fn line(text: &str) -> Cow<'_, str> {
    escaped(text, false)
}

/// As several lines: line breaks and tabs stay.
#[must_use]
pub fn text(text: &str) -> Cow<'_, str> {
    escaped(text, true)
}

/// As [`line`], of at most `limit` characters: a longer text says how much of it is left out.
#[must_use]
pub fn line_within(text: &str, limit: usize) -> Cow<'_, str> {
    match text.char_indices().nth(limit) {
        None => line(text),
        Some((cut, _)) => {
            let left_out = text[cut..].chars().count();
            Cow::Owned(format!("{}… ({left_out} more characters)", line(&text[..cut])))
        }
    }
}

/// JSON with `\u` escapes for all that [`text`] would escape: the values stay the same.
#[must_use]
pub fn json(text: &str) -> Cow<'_, str> {
    // Outside of strings, JSON has none of these characters.
    replaced(text, |_, c, _| !matches!(c, '\n' | '\t') && is_unsafe(c), utf16)
}

/// Whether a terminal acts on the character, hides it, or shows others in another order for it.
/// Joiners do the first two only among plain letters: see [`line`].
#[must_use]
pub fn is_unsafe(c: char) -> bool {
    // C0, DEL and C1.
    c.is_control()
        || matches!(c,
            // Which way text runs: marks, embeddings, overrides, isolates.
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            // Line breaks that few know.
            | '\u{2028}' | '\u{2029}'
            // Invisible: soft hyphen, spaces without width, operators, annotations, tags.
            | '\u{ad}' | '\u{180e}' | '\u{200b}' | '\u{2060}'..='\u{2065}' | '\u{206a}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

fn escaped(text: &str, several: bool) -> Cow<'_, str> {
    let bad = |before: Option<char>, c: char, after: Option<char>| match c {
        '\n' | '\t' => !several,
        '\u{200c}' | '\u{200d}' => !joins(before, after),
        c => is_unsafe(c),
    };
    // What was written with the line ends of other systems reads the same.
    let text = match several && text.contains("\r\n") {
        true => Cow::Owned(text.replace("\r\n", "\n")),
        false => Cow::Borrowed(text),
    };
    match text {
        Cow::Borrowed(text) => replaced(text, bad, escape),
        Cow::Owned(text) => Cow::Owned(replaced(&text, bad, escape).into_owned()),
    }
}

/// Emoji and some scripts need joiners; between plain letters they only make two names look alike.
fn joins(before: Option<char>, after: Option<char>) -> bool {
    let plain = |c: Option<char>| c.is_none_or(|c| c.is_ascii() || is_unsafe(c));
    !plain(before) && !plain(after)
}

fn escape(c: char, out: &mut String) {
    out.extend(c.escape_default());
}

fn utf16(c: char, out: &mut String) {
    for unit in c.encode_utf16(&mut [0; 2]) {
        out.push_str(&format!("\\u{unit:04x}"));
    }
}

fn replaced(
    text: &str,
    bad: impl Fn(Option<char>, char, Option<char>) -> bool,
    write: impl Fn(char, &mut String),
) -> Cow<'_, str> {
    let mut out: Option<String> = None;
    let mut before = None;
    let mut rest = text.char_indices().peekable();
    while let Some((at, c)) = rest.next() {
        let is_bad = bad(before, c, rest.peek().map(|(_, c)| *c));
        if is_bad {
            write(c, out.get_or_insert_with(|| text[..at].to_owned()));
        } else if let Some(out) = &mut out {
            out.push(c);
        }
        before = Some(c);
    }
    out.map_or(Cow::Borrowed(text), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CASES: [(&str, &str); 14] = [
        ("plain ünicode ✓ 日本", "plain ünicode ✓ 日本"),
        ("\x1b]52;c;eA==\x07", r"\u{1b}]52;c;eA==\u{7}"),
        ("a\x1b[2Jb", r"a\u{1b}[2Jb"),
        ("\u{9b}2J\u{9d}0;x\u{9c}", r"\u{9b}2J\u{9d}0;x\u{9c}"),
        ("a\rb\x08\x7f\0", r"a\rb\u{8}\u{7f}\u{0}"),
        ("admin\u{202e}txt.exe", r"admin\u{202e}txt.exe"),
        ("\u{2066}x\u{2069}\u{200e}\u{200f}\u{61c}", r"\u{2066}x\u{2069}\u{200e}\u{200f}\u{61c}"),
        ("we\u{200b}b\u{feff}\u{2060}", r"we\u{200b}b\u{feff}\u{2060}"),
        ("we\u{200d}b \u{200c}", r"we\u{200d}b \u{200c}"),
        ("👩\u{200d}💻 می\u{200c}خواهم", "👩\u{200d}💻 می\u{200c}خواهم"),
        ("a\u{2028}b\u{85}c", r"a\u{2028}b\u{85}c"),
        ("\u{e0041}", r"\u{e0041}"),
        (r"c:\new", r"c:\new"),
        ("", ""),
    ];

    #[test]
    fn what_a_terminal_would_obey_or_hide_is_escaped() {
        for (from, to) in CASES {
            assert_eq!(line(from), to);
            assert_eq!(text(from), to);
            assert_eq!(line(to), to, "not idempotent");
        }
    }

    #[test]
    fn line_breaks_stay_where_several_lines_are_meant() {
        assert_eq!(line("a\nerror: b\t\r\n"), r"a\nerror: b\t\r\n");
        assert_eq!(text("a\r\n\tb\rc\n"), "a\n\tb\\rc\n");
    }

    #[test]
    fn json_keeps_its_values() {
        let value = "\u{9b}2J\u{202e}\u{7f}\u{e0041}\n\"é";
        let written =
            format!("{{\n\t\"a\": \"{}\"\n}}", value.replace('\n', r"\n").replace('"', "\\\""));
        let shown = json(&written);
        assert_eq!(shown, "{\n\t\"a\": \"\\u009b2J\\u202e\\u007f\\udb40\\udc41\\n\\\"é\"\n}");
    }

    #[test]
    fn a_long_line_says_what_is_left_out() {
        assert_eq!(line_within("abc", 3), "abc");
        assert_eq!(line_within("ab\x1bc\n", 3), "ab\\u{1b}… (2 more characters)");
    }
}
