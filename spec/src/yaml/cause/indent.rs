//! Lines that begin in the wrong column. The scanner notices the line after them, mostly.

use crate::keys::{self, Place};

use super::lines::{Cause, Line, Lines};

/// The line above that has slipped out of its block, or into another, so that `line` seems to
/// begin where it must not.
pub(super) fn slipped(lines: &Lines<'_>, line: Line<'_>) -> Option<Cause> {
    if matches!(line.key(), Some("services" | "version" | "include")) {
        let message = format!("`{}` belongs to the top level", line.key().unwrap_or_default());
        return Some(line.cause(message, begin_in(0, None)));
    }
    let low = lines.above(line.number).find(|above| above.indent < line.indent)?;
    if let Some(cause) = out_of_block(lines, line, low) {
        return Some(cause);
    }
    let first = lines.from(low.number + 1).next().filter(|first| first.number < line.number)?;
    let step = lines.step();
    let odd = low.opens() && first.indent != line.indent;
    let line_fits = line.indent == low.column() - 1 + step;
    if !(odd && line_fits) || first.indent == low.column() - 1 + step {
        return None;
    }
    let message =
        format!("this line begins in column {}, and what follows does not", first.indent + 1);
    Some(first.cause(message, begin_in(line.indent, line.key())))
}

/// `low` begins further left than what is above and below it.
fn out_of_block(lines: &Lines<'_>, line: Line<'_>, low: Line<'_>) -> Option<Cause> {
    let next = lines.from(low.number + 1).next()?;
    // What is below it was meant for it.
    let has_own = low.opens() && next.number == line.number;
    if has_own {
        return None;
    }
    let before = lines.above(low.number).find(|before| before.indent <= line.indent)?;
    let siblings = before.indent == line.indent && before.is_item == line.is_item;
    let at_home = low.opens() && low.key().is_some_and(|key| belongs_here(key, low.indent));
    let goes_on = siblings
        && before.indent > low.indent
        && !at_home
        && beside(before, line).unwrap_or_else(|| !goes_on_like(lines, line, low));
    if !goes_on && !begins_oddly(lines, line, low) {
        return None;
    }
    let message = format!(
        "this line begins in column {}, and those around it in column {}",
        low.indent + 1,
        line.indent + 1
    );
    let like = if goes_on { before.key() } else { line.key() };
    Some(low.cause(message, begin_in(line.indent, like)))
}

/// Whether `low` is the first below its key, and not indented as this file does it, though `line`
/// is.
fn begins_oddly(lines: &Lines<'_>, line: Line<'_>, low: Line<'_>) -> bool {
    let Some(parent) = lines.above(low.number).next().filter(Line::opens) else { return false };
    let fits = parent.column() - 1 + lines.step();
    let beside = parent.indent == low.indent && !low.opens();
    let odd = parent.indent < low.indent && low.indent != fits && line.indent == fits;
    beside || odd
}

/// Whether both are keys that may stand beside each other, where Compose knows them.
fn beside(one: Line<'_>, other: Line<'_>) -> Option<bool> {
    let known = |line: Line<'_>| Some(line.key()?.to_owned()).filter(|key| keys::is_word(key));
    Some(Place::root().has_beside(&known(one)?, &known(other)?))
}

/// Whether keys follow that begin where `low` does: then it is `line` that is wrong.
fn goes_on_like(lines: &Lines<'_>, line: Line<'_>, low: Line<'_>) -> bool {
    let next = lines.from(line.number + 1).find(|next| next.indent <= line.indent);
    let known = |next: &Line<'_>| next.key().is_some_and(keys::is_word);
    low.indent > 0 && next.is_some_and(|next| next.indent == low.indent && known(&next))
}

/// Whether a key with more below it is right where it is: one of the top level, or a name that
/// the file gives and Compose does not know.
fn belongs_here(key: &str, indent: usize) -> bool {
    let root = Place::root();
    if indent == 0 { root.key(key).is_some() } else { !keys::is_word(key) }
}

fn begin_in(indent: usize, like: Option<&str>) -> String {
    let name = like.map_or_else(String::new, |key| format!(", like `{key}`"));
    format!("begin it in column {}{name}", indent + 1)
}

/// An indentation that nothing above has.
pub(super) fn odd(lines: &Lines<'_>, line: Line<'_>) -> Option<Cause> {
    if let Some(cause) = slipped(lines, line) {
        return Some(cause);
    }
    // The blocks that are still open: each line that begins further left than all after it.
    let mut open: Vec<Line<'_>> = Vec::new();
    for one in lines.above(line.number) {
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
    Some(line.cause(message, begin_in(like.indent, like.key())))
}

/// A line below a key that has a value already.
pub(super) fn too_far(lines: &Lines<'_>, line: Line<'_>, above: Line<'_>) -> Cause {
    if let Some(cause) = slipped(lines, line) {
        return cause;
    }
    let column = above.column();
    let mut hint = format!("begin it in column {column}, like the line above it");
    let lost_dash = !above.is_item && line.column() == column + 2 && !line.is_item;
    if lost_dash && lines.above(above.number).next().is_some_and(|parent| parent.opens()) {
        hint += ", or that one with `- `";
    }
    line.cause("this line is indented too far: the key above it has a value already", hint)
}

/// The first line of the file is indented, and this one is not.
pub(super) fn first_line(lines: &Lines<'_>, line: Line<'_>) -> Option<Cause> {
    let first = lines.from(1).find(|first| !first.content.starts_with("---"))?;
    if first.indent <= line.indent || first.number >= line.number {
        return None;
    }
    let message = format!(
        "the first line begins in column {}, and this file goes on in column {}",
        first.indent + 1,
        line.indent + 1
    );
    Some(first.cause(message, begin_in(line.indent, None)))
}

/// A tab that indents.
pub(super) fn tab(lines: &Lines<'_>, number: usize) -> Option<Cause> {
    let indented = |line: &Line<'_>| {
        let raw = lines.raw(line.number);
        raw[..raw.len() - raw.trim_start().len()].contains('\t')
    };
    let line = lines.from(number).find(indented)?;
    let raw = lines.raw(line.number);
    let column = raw.chars().take_while(|c| *c != '\t').count() + 1;
    let len = raw.chars().skip(column - 1).take_while(|c| *c == '\t').count();
    let (message, hint) =
        ("this line is indented with a tab", "indent it with spaces: YAML takes no tabs there");
    Some(Cause { message: message.into(), line: line.number, column, len, hint: hint.into() })
}
