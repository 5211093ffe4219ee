//! Why a file is no YAML, in a person's words. The scanner says where it gave up; the cause is
//! often a line above. Guesses from the lines around: a wrong one costs a hint only.

/// What is most probably wrong, and where. Lines and columns count from 1, columns in characters.
pub(super) struct Cause {
    pub(super) message: String,
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) len: usize,
    pub(super) hint: String,
}

/// A line with what the guesses look at.
#[derive(Clone, Copy)]
struct Line<'a> {
    number: usize,
    indent: usize,
    /// Without indentation, and without the dash of a list item.
    content: &'a str,
    is_item: bool,
}

impl<'a> Line<'a> {
    fn of(number: usize, text: &'a str) -> Self {
        let trimmed = text.trim_start();
        let indent = text.len() - trimmed.len();
        let item = trimmed.strip_prefix("- ");
        let content = item.unwrap_or(trimmed).trim();
        Self { number, indent, content, is_item: item.is_some() || trimmed == "-" }
    }

    /// The key that it begins with, where it has one.
    fn key(&self) -> Option<&'a str> {
        let (key, rest) = self.content.split_once(':')?;
        let word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '"' | '\'');
        let is_key = !key.is_empty() && key.chars().all(word);
        (is_key && (rest.is_empty() || rest.starts_with(' '))).then_some(key)
    }

    fn value(&self) -> &'a str {
        self.content.split_once(':').map(|(_, value)| value.trim()).unwrap_or_default()
    }

    /// Where its content begins, from 1.
    fn column(&self) -> usize {
        self.indent + 1 + if self.is_item { 2 } else { 0 }
    }

    fn cause(&self, message: impl Into<String>, hint: impl Into<String>) -> Cause {
        let len = self.content.chars().count().max(1);
        let (message, hint) = (message.into(), hint.into());
        Cause { message, line: self.number, column: self.column(), len, hint }
    }
}

/// Guesses the cause of what the scanner says (`info`) of a line.
pub(super) fn guess(info: &str, text: &str, number: usize) -> Option<Cause> {
    let lines: Vec<&str> = text.lines().take(number).collect();
    let line = Line::of(number, lines.get(number.checked_sub(1)?)?);
    let is_blank = |text: &str| text.trim().is_empty() || text.trim_start().starts_with('#');
    let above = lines[..number - 1].iter().enumerate().rev();
    let mut above =
        above.filter(|(_, text)| !is_blank(text)).map(|(index, text)| Line::of(index + 1, text));
    match info {
        info if info.contains("mapping values are not allowed") => values(line, above.next()),
        info if info.contains("simple key expected") => Some(no_colon(line)),
        info if info.contains("did not find expected '-'") => {
            let hint = "begin it with `- `, or write all of them as `NAME: value`";
            Some(line.cause("a key stands among the items of a list", hint))
        }
        info if info.contains("did not find expected key") && line.is_item => {
            let before = above.next()?;
            if before.is_item {
                let message = "this item does not begin where the one above it begins";
                let hint = format!("begin it in column {}", before.indent + 1);
                return Some(line.cause(message, hint));
            }
            let hint = "indent it below its key, or write all of them as `NAME: value`";
            Some(line.cause("an item stands where a key is expected", hint))
        }
        info if info.contains("did not find expected key") => indented(line, above),
        info if info.contains("unexpected character") => {
            let value = line.value();
            let hint = format!("put it in quotes: \"{}\"", value.replace('"', "\\\""));
            (!value.is_empty()).then(|| line.cause("a value cannot begin like this", hint))
        }
        _ => None,
    }
}

/// A second `:` in one line, as the scanner sees it.
fn values(line: Line<'_>, above: Option<Line<'_>>) -> Option<Cause> {
    if let Some(above) = above {
        if let Some(cause) = glued(above) {
            return Some(cause);
        }
        if line.indent > above.indent && above.key().is_none() && !above.content.contains(' ') {
            return Some(no_colon(above));
        }
        if line.column() > above.column() && !above.value().is_empty() && line.key().is_some() {
            let column = above.column();
            let hint = format!("begin it in column {column}, like the line above it");
            let message = "this line is indented too far: the key above it has a value already";
            return Some(line.cause(message, hint));
        }
    }
    let value = line.value();
    let hint = format!("put it in quotes: \"{}\"", value.replace('"', "\\\""));
    value.contains(": ").then(|| line.cause("the value has a `: ` in it", hint))
}

/// `image:nginx`.
fn glued(line: Line<'_>) -> Option<Cause> {
    let (key, value) = line.content.split_once(':')?;
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let is_glued = !key.is_empty() && key.chars().all(word);
    if !is_glued || value.is_empty() || value.starts_with([' ', '/', ':']) {
        return None;
    }
    let hint = format!("write `{key}: {}`", value.trim());
    Some(line.cause(format!("a space is missing after `{key}:`"), hint))
}

fn no_colon(line: Line<'_>) -> Cause {
    let hint = match line.content.split_once(' ') {
        Some((key, value)) => format!("write `{key}: {}`", value.trim()),
        None => format!("write `{}:`", line.content),
    };
    line.cause("a `:` is missing after the key", hint)
}

/// An indentation that nothing above has.
fn indented<'a>(line: Line<'a>, above: impl Iterator<Item = Line<'a>>) -> Option<Cause> {
    // The blocks that are still open: each line that begins further left than all after it.
    let mut open: Vec<Line<'_>> = Vec::new();
    for one in above {
        if open.last().is_none_or(|last| one.indent < last.indent) {
            open.push(one);
        }
    }
    let like = open.iter().min_by_key(|open| open.indent.abs_diff(line.indent))?;
    if like.indent == line.indent {
        return None;
    }
    let message =
        format!("this line begins in column {}, where nothing above it begins", line.indent + 1);
    let name = like.key().map_or_else(String::new, |key| format!(", like `{key}`"));
    let hint = format!("begin it in column {}{name}", like.indent + 1);
    Some(line.cause(message, hint))
}
