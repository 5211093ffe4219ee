//! Why a file is no YAML, in a person's words. The scanner says where it gave up; the cause is
//! often a line above. Guesses from the lines around: a wrong one costs a hint only.

mod indent;
mod lines;
mod quote;

pub(super) use lines::Cause;
use lines::{Line, Lines};

use crate::nearest;

/// Guesses the cause of what the scanner says (`info`) of a line.
pub(super) fn guess(info: &str, text: &str, number: usize) -> Option<Cause> {
    let lines = Lines::of(text);
    let line = lines.get(number)?;
    let says = |words: &str| info.contains(words);
    if says("tab") {
        return indent::tab(&lines, number);
    }
    if says("comment intercepting") {
        let next = lines.from(number + 1).next()?;
        return next.key().is_none().then(|| no_key(&lines, next));
    }
    if let Some(cause) = conflict(line) {
        return Some(cause);
    }
    if says("trailing content") {
        return quote::trailing(&lines, line, if says("single-quoted") { '\'' } else { '"' });
    }
    if says("simple key expected") {
        return Some(no_key(&lines, line));
    }
    if let Some(cause) = quote::after(line) {
        return Some(cause);
    }
    if says("mapping values are not allowed") {
        return values(&lines, line);
    }
    if says("did not find expected '-'") {
        let hint = "begin it with `- `, or write all of them as `NAME: value`";
        return Some(line.cause("a key stands among the items of a list", hint));
    }
    if says("did not find expected key") {
        return if line.is_item { stray(&lines, line) } else { indent::odd(&lines, line) };
    }
    if says("document start") {
        return indent::first_line(&lines, line);
    }
    if says("illegal placement") {
        return quote::open_above(&lines, line);
    }
    value(info, line)
}

/// A bracket that is open where the scanner gave up: whether it was to be closed before.
pub(super) fn unclosed(
    text: &str,
    at: (usize, usize),
    bracket: char,
    number: usize,
) -> Option<Cause> {
    quote::bracket(&Lines::of(text), at.0, at.1, bracket, number)
}

/// Values that begin with a character of YAML's own, or hold one.
fn value(info: &str, line: Line<'_>) -> Option<Cause> {
    let quoted = || format!("put it in quotes: \"{}\"", line.text().replace('"', "\\\""));
    let says = |words: &str| info.contains(words);
    if line.text().is_empty() {
        return None;
    }
    let (message, hint) = if says("anchor or alias") || says("unexpected character") {
        ("a value cannot begin like this", quoted())
    } else if says("block scalar") {
        (
            "nothing may follow here: the text begins in the next line",
            "put it into the next line, indented".into(),
        )
    } else if says("escape character") || says("hexadecimal") {
        ("`\\` means something in double quotes", "write `\\\\`, or use single quotes".into())
    } else if says("mismatched bracket") {
        ("brackets do not match", "close each with its own kind, and each only once".into())
    } else if says("misplaced bracket") {
        ("a bracket closes what was never opened", "remove it, or put the text in quotes".into())
    } else {
        return None;
    };
    Some(line.of_text(message, hint))
}

/// What a version control leaves that could not merge.
fn conflict(line: Line<'_>) -> Option<Cause> {
    let marks = ["<<<<<<<", "=======", ">>>>>>>"];
    let is_mark = line.indent == 0 && marks.iter().any(|mark| line.content.starts_with(mark));
    let hint = "keep one of the two versions, and remove the marks";
    is_mark.then(|| line.cause("a merge conflict was left here", hint))
}

/// An item where a key is expected.
fn stray(lines: &Lines<'_>, line: Line<'_>) -> Option<Cause> {
    if let Some(cause) = quote::after(line) {
        return Some(cause);
    }
    let before = lines.above(line.number).next()?;
    if before.is_item {
        let message = "this item does not begin where the one above it begins";
        return Some(line.cause(message, format!("begin it in column {}", before.indent + 1)));
    }
    if before.indent == line.indent && before.key().is_none() {
        return Some(no_dash(before));
    }
    let hint = "indent it below its key, or write all of them as `NAME: value`";
    Some(line.cause("an item stands where a key is expected", hint))
}

/// A second `:` in one line, as the scanner sees it.
fn values(lines: &Lines<'_>, line: Line<'_>) -> Option<Cause> {
    if let Some(above) = lines.above(line.number).next() {
        if let Some(cause) = glued(above) {
            return Some(cause);
        }
        if above.key().is_none() && begins_block(lines, above) && !above.is_item {
            return Some(no_colon(above));
        }
        if line.column() > above.column() && !above.value().is_empty() && line.key().is_some() {
            return Some(indent::too_far(lines, line, above));
        }
    }
    let value = line.value();
    let hint = format!("put it in quotes: \"{}\"", value.replace('"', "\\\""));
    value.contains(": ").then(|| line.of_text("the value has a `: ` in it", hint))
}

/// Whether the line is the first below its key, or below nothing.
fn begins_block(lines: &Lines<'_>, line: Line<'_>) -> bool {
    lines.above(line.number).next().is_none_or(|parent| {
        parent.opens() || parent.content.starts_with("---") || parent.key().is_none()
    })
}

/// A line that has no key, where each line has one.
fn no_key(lines: &Lines<'_>, line: Line<'_>) -> Cause {
    let above = lines.above(line.number).next();
    if let Some(rest) = line.content.strip_prefix('-').filter(|rest| !rest.starts_with('-')) {
        return line.cause("a space is missing after the dash", format!("write `- {rest}`"));
    }
    if above.is_some_and(|above| above.is_item && above.indent == line.indent) {
        return no_dash(line);
    }
    glued(line).unwrap_or_else(|| no_colon(line))
}

/// `image：nginx`, with the colon of Chinese and Japanese keyboards.
fn wide_colon(line: Line<'_>) -> Option<Cause> {
    let (key, value) = line.content.split_once('：')?;
    let written = format!("{key}: {}", value.trim_start());
    Some(line.cause("`：` is not `:`", format!("write `{}`", written.trim_end())))
}

fn no_dash(line: Line<'_>) -> Cause {
    line.cause("a `- ` is missing before this item", format!("write `- {}`", line.content))
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
    if let Some(cause) = wide_colon(line) {
        return cause;
    }
    let hint = match line.content.split_once(' ') {
        Some((key, value)) => format!("write `{key}: {}`", value.trim()),
        None => format!("write `{}:`", line.content.trim_end_matches([';', ',', '='])),
    };
    line.cause("a `:` is missing after the key", hint)
}

/// What may be meant by an alias in `line` whose anchor is not above it.
pub(super) fn anchor(name: &str, text: &str, line: usize) -> Option<String> {
    let anchors = || {
        text.lines().zip(1..).filter_map(|(content, number)| {
            let (before, after) = content.split_once('&')?;
            let begins = before.is_empty() || before.ends_with([' ', '[', ',']);
            let word = after.split([' ', ',', ']', '}', '\t']).next().filter(|_| begins)?;
            Some((word, number))
        })
    };
    if let Some((_, at)) = anchors().find(|(word, at)| *word == name && *at >= line) {
        return Some(format!("it is on line {at}: an anchor must come before its aliases"));
    }
    let above = anchors().filter(|(word, at)| *at <= line && !word.is_empty());
    nearest::of(name, above.map(|(word, _)| word)).map(|near| format!("did you mean `*{near}`?"))
}
