//! The lines of a file, as a person reads them: with an indentation, a dash, a key and a value.

/// What is most probably wrong, and where. Lines and columns count from 1, columns in characters.
pub(in crate::yaml) struct Cause {
    pub(in crate::yaml) message: String,
    pub(in crate::yaml) line: usize,
    pub(in crate::yaml) column: usize,
    pub(in crate::yaml) len: usize,
    pub(in crate::yaml) hint: String,
}

/// A line with what the guesses look at.
#[derive(Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) number: usize,
    pub(super) indent: usize,
    /// Without indentation, and without the dash of a list item.
    pub(super) content: &'a str,
    pub(super) is_item: bool,
}

impl<'a> Line<'a> {
    fn of(number: usize, text: &'a str) -> Self {
        // No other space indents, and of these each is one byte.
        let trimmed = text.trim_start_matches([' ', '\t']);
        let indent = text.len() - trimmed.len();
        let item = trimmed.strip_prefix("- ");
        let content = item.unwrap_or(trimmed).trim();
        Self { number, indent, content, is_item: item.is_some() || trimmed == "-" }
    }

    /// The key that it begins with, where it has one.
    pub(super) fn key(&self) -> Option<&'a str> {
        let (key, rest) = self.content.split_once(':')?;
        let word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '"' | '\'' | '<');
        let is_key = !key.is_empty() && key.chars().all(word);
        (is_key && (rest.is_empty() || rest.starts_with(' '))).then_some(key)
    }

    /// What follows the key, without a comment that stands alone there.
    pub(super) fn value(&self) -> &'a str {
        let value = self.content.split_once(':').map(|(_, value)| value.trim()).unwrap_or_default();
        if value.starts_with('#') { "" } else { value }
    }

    /// The value of its key, or of its item where it has no key.
    pub(super) fn text(&self) -> &'a str {
        if self.key().is_some() { self.value() } else { self.content }
    }

    /// Whether what follows is to be indented below it.
    pub(super) fn opens(&self) -> bool {
        let anchored = self.value().starts_with(['&', '!']) && !self.value().contains(' ');
        self.key().is_some() && (self.value().is_empty() || anchored)
    }

    /// Where its content begins, from 1; its dash where it has nothing else.
    pub(super) fn column(&self) -> usize {
        self.indent + 1 + if self.is_item && !matches!(self.content, "" | "-") { 2 } else { 0 }
    }

    /// A cause that is its value.
    pub(super) fn of_text(&self, message: impl Into<String>, hint: impl Into<String>) -> Cause {
        let text = self.text();
        let before = self.content.len() - text.len();
        let column = self.column() + self.content[..before].chars().count();
        let len = text.chars().count().max(1);
        Cause { column, len, ..self.cause(message, hint) }
    }

    pub(super) fn cause(&self, message: impl Into<String>, hint: impl Into<String>) -> Cause {
        let len = self.content.chars().count().max(1);
        let (message, hint) = (message.into(), hint.into());
        Cause { message, line: self.number, column: self.column(), len, hint }
    }
}

/// All lines of a file. Blank ones and comments say nothing, and are passed over.
pub(super) struct Lines<'a> {
    texts: Vec<&'a str>,
}

impl<'a> Lines<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        Self { texts: text.lines().collect() }
    }

    /// The line of this number, from 1.
    pub(super) fn get(&self, number: usize) -> Option<Line<'a>> {
        let text = self.texts.get(number.checked_sub(1)?)?;
        Some(Line::of(number, text))
    }

    /// The text of this line, as it is.
    pub(super) fn raw(&self, number: usize) -> &'a str {
        number.checked_sub(1).and_then(|index| self.texts.get(index)).copied().unwrap_or_default()
    }

    /// The lines above this one, nearest first.
    pub(super) fn above(&self, number: usize) -> impl Iterator<Item = Line<'a>> {
        let before = self.texts.get(..number.saturating_sub(1)).unwrap_or(&self.texts);
        let says = |(_, text): &(usize, &&'a str)| says_something(text);
        before.iter().enumerate().rev().filter(says).map(|(index, text)| Line::of(index + 1, text))
    }

    /// The lines from this one on.
    pub(super) fn from(&self, number: usize) -> impl Iterator<Item = Line<'a>> {
        let lines = self.texts.iter().enumerate().skip(number.saturating_sub(1));
        lines.filter(|(_, text)| says_something(text)).map(|(i, text)| Line::of(i + 1, text))
    }

    /// By how much this file mostly indents what is below a key.
    pub(super) fn step(&self) -> usize {
        let mut counts = [0usize; 9];
        let lines: Vec<Line<'_>> = self.from(1).collect();
        for pair in lines.windows(2).filter(|pair| pair[0].opens() && !pair[1].is_item) {
            let deeper = pair[1].indent.saturating_sub(pair[0].column() - 1);
            if let Some(count) = counts.get_mut(deeper) {
                *count += usize::from(deeper > 0);
            }
        }
        let most = (1..counts.len()).max_by_key(|step| (counts[*step], std::cmp::Reverse(*step)));
        most.filter(|step| counts[*step] > 0).unwrap_or(2)
    }
}

fn says_something(text: &str) -> bool {
    let text = text.trim_start();
    !text.is_empty() && !text.starts_with('#')
}
