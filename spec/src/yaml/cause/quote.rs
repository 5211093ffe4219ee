//! Quotes and brackets that are opened, and closed too late or never.

use super::lines::{Cause, Line, Lines};

/// Text after a closing quote: mostly the quote that closes was to open the next text.
pub(super) fn trailing(lines: &Lines<'_>, line: Line<'_>, quote: char) -> Option<Cause> {
    if let Some(opened) = lines.above(line.number).find(|above| is_left_open(above, quote)) {
        let message =
            format!("a `{quote}` is opened here, and closed only in line {}", line.number);
        let hint = format!("close it at the end of its text: `{}{quote}`", opened.text());
        return Some(opened.of_text(message, hint));
    }
    let hint = match line.text().starts_with(['[', '{']) {
        true => "put a `,` between the texts",
        false => "put the whole text into one pair of quotes",
    };
    Some(line.of_text("a text goes on after its closing quote", hint))
}

/// Whether its value begins a quoted text that it does not end.
fn is_left_open(line: &Line<'_>, quote: char) -> bool {
    let text = line.text();
    let begins = text.starts_with(quote) || text.starts_with(['[', '{']);
    let mut escaped = false;
    let quotes = text.chars().filter(|c| {
        let counts = *c == quote && !escaped;
        escaped = *c == '\\' && !escaped && quote == '"';
        counts
    });
    begins && quotes.count() % 2 == 1
}

/// `image: "nginx":1.29`.
pub(super) fn after(line: Line<'_>) -> Option<Cause> {
    let text = line.text();
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let (inner, rest) = text[1..].split_once(quote)?;
    let goes_on = !rest.is_empty() && !rest.starts_with([' ', ',', ']', '}', quote]);
    let is_key = rest == ":" || rest.starts_with(": ");
    if !goes_on || is_key {
        return None;
    }
    let hint = format!("put the whole text into one pair of quotes: {quote}{inner}{rest}{quote}");
    Some(line.of_text("a text goes on after its closing quote", hint))
}

/// The nearest bracket above that its line leaves open.
pub(super) fn open_above(lines: &Lines<'_>, line: Line<'_>) -> Option<Cause> {
    let count = |text: &str, c: char| text.matches(c).count();
    let left_open = |above: &Line<'_>, open, close| {
        above.text().starts_with(open) && count(above.text(), open) > count(above.text(), close)
    };
    lines.above(line.number).find_map(|above| {
        let (open, close) = [('[', ']'), ('{', '}')]
            .into_iter()
            .find(|(open, close)| left_open(&above, *open, *close))?;
        let message = format!("the `{open}` is never closed");
        Some(Cause { len: 1, ..above.of_text(message, format!("close it with `{close}`")) })
    })
}

/// A bracket that was opened in a line above, while `line` is one of a block again.
pub(super) fn bracket(
    lines: &Lines<'_>,
    opened: usize,
    column: usize,
    bracket: char,
    number: usize,
) -> Option<Cause> {
    let line = lines.get(number)?;
    let block = line.key().is_some() || line.is_item;
    if number <= opened || !block {
        return None;
    }
    let close = if bracket == '[' { ']' } else { '}' };
    let message = format!("the `{bracket}` is never closed");
    let hint = format!("close it with `{close}`");
    Some(Cause { message, line: opened, column, len: 1, hint })
}
