//! The grammar of `.env`, `env_file` and `label_file`.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::interpolate::{self, Variables};

/// One variable of an env file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Assignment {
    pub(crate) name: String,
    /// `None`: the name alone was there, and nobody outside sets it.
    pub(crate) value: Option<String>,
    /// The bytes of its name and value in the file.
    pub(crate) range: Range<usize>,
    /// The variables in its value that are not set, with where they stand in the file.
    pub(crate) unset: Vec<(String, Range<usize>)>,
}

/// What is wrong in an env file, and at which bytes.
#[derive(Debug, PartialEq)]
pub(crate) struct Fault {
    pub(crate) message: String,
    pub(crate) range: Range<usize>,
}

/// Reads the assignments of `text`. `outer` is asked for variables before the file's own.
pub(crate) fn parse(text: &str, outer: &dyn Variables) -> Result<Vec<Assignment>, Fault> {
    let mut reader =
        Reader { text, at: 0, outer, own: BTreeMap::new(), found: Vec::new(), unset: Vec::new() };
    if text.starts_with('\u{feff}') {
        reader.at = '\u{feff}'.len_utf8();
    }
    while reader.statement()? {}
    Ok(reader.found)
}

/// Reads `KEY=VALUE` lines verbatim, as `docker run --env-file` does.
pub(crate) fn parse_raw(text: &str, outer: &dyn Variables) -> Result<Vec<Assignment>, Fault> {
    let mut found = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let content = line.trim_end_matches(['\n', '\r']);
        let range = start..start + content.len();
        start += line.len();
        let content = content.trim_start();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        let (name, value) = match content.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (content, outer.value(content).map(str::to_owned)),
        };
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(Fault {
                message: format!("`{name}` is not the name of a variable"),
                range,
            });
        }
        found.push(Assignment { name: name.to_owned(), value, range, unset: Vec::new() });
    }
    Ok(found)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    outer: &'a dyn Variables,
    own: BTreeMap<String, String>,
    found: Vec<Assignment>,
    /// What is not set, of the assignment that is being read.
    unset: Vec<(String, Range<usize>)>,
}

impl Variables for Reader<'_> {
    fn value(&self, name: &str) -> Option<&str> {
        self.outer.value(name).or_else(|| self.own.get(name).map(String::as_str))
    }
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip(&mut self, wanted: impl Fn(char) -> bool) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches(wanted).len();
    }

    fn fault<T>(&self, message: impl Into<String>, range: Range<usize>) -> Result<T, Fault> {
        Err(Fault { message: message.into(), range })
    }

    /// The next assignment; false at the end.
    fn statement(&mut self) -> Result<bool, Fault> {
        self.skip(char::is_whitespace);
        if self.rest().is_empty() {
            return Ok(false);
        }
        if self.rest().starts_with('#') {
            self.skip(|c| c != '\n');
            return Ok(true);
        }
        self.export();
        let start = self.at;
        let (name, assigned) = self.name()?;
        let value = if assigned {
            Some(self.assigned()?)
        } else {
            self.outer.value(&name).map(str::to_owned)
        };
        if let Some(value) = &value {
            self.own.insert(name.clone(), value.clone());
        }
        let range = start..start + self.text[start..self.at].trim_end().len();
        let unset = std::mem::take(&mut self.unset);
        self.found.push(Assignment { name, value, range, unset });
        Ok(true)
    }

    fn export(&mut self) {
        let rest = self.rest().strip_prefix("export");
        if rest.is_some_and(|rest| rest.starts_with([' ', '\t'])) {
            self.at += "export".len();
            self.skip(|c| c == ' ' || c == '\t');
        }
    }

    /// The name, and whether a value follows it. Leaves the reader behind the separator.
    fn name(&mut self) -> Result<(String, bool), Fault> {
        let start = self.at;
        let line_end = start + self.rest().find('\n').unwrap_or(self.rest().len());
        let end =
            self.text[start..line_end].find(['=', ':']).map_or(line_end, |found| start + found);
        let name = self.text[start..end].trim_end();
        let range = start..start + name.len();
        if name.contains([' ', '\t']) {
            return self.fault("a name cannot contain a space", range);
        }
        let allowed = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '[' | ']');
        if let Some((offset, bad)) = name.char_indices().find(|(_, c)| !allowed(*c)) {
            let at = start + offset;
            let message = format!("unexpected character `{bad}` in a name");
            return self.fault(message, at..at + bad.len_utf8());
        }
        if name.is_empty() {
            return self.fault("a name is missing before the `=`", start..end + 1);
        }
        self.at = (end + 1).min(self.text.len());
        Ok((name.to_owned(), end < line_end))
    }

    fn assigned(&mut self) -> Result<String, Fault> {
        self.skip(|c| c == ' ' || c == '\t');
        let start = self.at;
        match self.rest().chars().next() {
            Some('\'') => self.quoted('\'').map(|raw| raw.replace("\\'", "'")),
            Some('"') => {
                let raw = self.quoted('"')?;
                self.filled(&unescape(raw), start)
            }
            _ => {
                let line = self.rest().lines().next().unwrap_or_default();
                self.at += line.len();
                let end = [" #", "\t#"].iter().filter_map(|mark| line.find(mark)).min();
                let value =
                    if line.starts_with('#') { "" } else { &line[..end.unwrap_or(line.len())] };
                self.filled(value.trim_end(), start)
            }
        }
    }

    /// What stands between quotes; may span lines.
    fn quoted(&mut self, quote: char) -> Result<&'a str, Fault> {
        let start = self.at;
        let body = &self.text[start + 1..];
        let mut escaped = false;
        for (index, c) in body.char_indices() {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                c if c == quote => {
                    self.at = start + 1 + index + 1;
                    return Ok(&body[..index]);
                }
                _ => {}
            }
        }
        let line = self.rest().lines().next().unwrap_or_default();
        self.fault("unterminated quoted value", start..start + line.len())
    }

    /// Where what was read since `start` mentions a variable.
    fn mention(&self, name: &str, start: usize) -> Range<usize> {
        let read = &self.text[start..self.at];
        let shapes = [format!("${{{name}}}"), format!("${name}")];
        let found = shapes.iter().find_map(|shape| Some((read.find(shape)?, shape.len())));
        let (from, length) = found.unwrap_or((0, read.len()));
        start + from..start + from + length
    }

    /// A value with its variables put in; it began at `start`.
    fn filled(&mut self, value: &str, start: usize) -> Result<String, Fault> {
        match interpolate::fill(value, self) {
            Ok(filled) => {
                for (name, _) in filled.unset {
                    let range = self.mention(&name, start);
                    self.unset.push((name, range));
                }
                Ok(filled.text)
            }
            Err(fault) => {
                let line = self.text[start..].lines().next().unwrap_or_default();
                self.fault(fault.message, start..start + line.len())
            }
        }
    }
}

/// The escapes of double quotes; what is no escape stays. `\$` becomes `$$`, which
/// interpolation turns into a plain `$`.
fn unescape(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut chars = raw.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('a') => out.push('\u{7}'),
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('v') => out.push('\u{b}'),
            Some(c @ ('\\' | '"')) => out.push(c),
            Some('$') => out.push_str("$$"),
            Some('0') => {
                let mut code = 0;
                for _ in 0..3 {
                    let Some(digit) = chars.peek().and_then(|c| c.to_digit(8)) else { break };
                    code = code * 8 + digit;
                    chars.next();
                }
                out.extend(char::from_u32(code));
            }
            Some(other) => out.extend(['\\', other]),
            None => out.push('\\'),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, outer: &[(&'static str, &'static str)]) -> String {
        let outer: BTreeMap<&str, &str> = outer.iter().copied().collect();
        match parse(text, &outer) {
            Ok(found) => found
                .into_iter()
                .map(|found| match found.value {
                    Some(value) => format!("{}={value:?}", found.name),
                    None => found.name,
                })
                .collect::<Vec<_>>()
                .join(" "),
            Err(fault) => format!("error at {:?}: {}", &text[fault.range], fault.message),
        }
    }

    #[test]
    fn lines_with_their_meaning() {
        let cases = [
            ("A=1\n# note\n\n  B = 2 # two\n", r#"A="1" B="2""#),
            ("\u{feff}A=1\r\nB=2\r\n", r#"A="1" B="2""#),
            ("export A=1\nexport B", r#"A="1" B"#),
            ("A: yaml\nA.b-c[0]=x", r#"A="yaml" A.b-c[0]="x""#),
            ("A=a#b\nB=#c\nC=", r#"A="a#b" B="" C="""#),
            (r"A='it\'s $V \n'", r#"A="it's $V \\n""#),
            ("A=\"x\\ty\\x07 \\$V $$V $V\"", r#"A="x\ty\\x07 $V $V 5""#),
            ("A=a\\tb", r#"A="a\\tb""#),
            ("A=\"one\ntwo\"\nB='three\nfour'", r#"A="one\ntwo" B="three\nfour""#),
            ("A=\"x\" B=2", r#"A="x" B="2""#),
            ("A=\"x\" # note", r#"A="x""#),
            ("A=1\nB=$A\nC=${D:-d}", r#"A="1" B="1" C="d""#),
            ("V=1\nB=$V", r#"V="1" B="5""#),
            ("V\nW", r#"V="5" W"#),
            (
                "URL=postgres://localhost:5432/db?sslmode=disable",
                r#"URL="postgres://localhost:5432/db?sslmode=disable""#,
            ),
            ("A=è", r#"A="è""#),
            ("A=\"x", r#"error at "\"x": unterminated quoted value"#),
            ("A B=1", r#"error at "A B": a name cannot contain a space"#),
            ("A!=1", r#"error at "!": unexpected character `!` in a name"#),
            ("=1", r#"error at "=": a name is missing before the `=`"#),
            ("A=${", r#"error at "${": the `${` is never closed"#),
        ];
        for (text, result) in cases {
            assert_eq!(shown(text, &[("V", "5")]), result, "{text:?}");
        }
    }

    #[test]
    fn raw_lines_are_verbatim() {
        let outer: BTreeMap<&str, &str> = BTreeMap::from([("V", "5")]);
        let found = parse_raw("A=\"$V\" # no note\n#\nV\nW\n", &outer).unwrap();
        let shown: Vec<_> = found.into_iter().map(|a| (a.name, a.value)).collect();
        let pair = |name: &str, value: Option<&str>| (name.to_owned(), value.map(str::to_owned));
        let wanted = [pair("A", Some("\"$V\" # no note")), pair("V", Some("5")), pair("W", None)];
        assert_eq!(shown, wanted);
    }
}
