//! What is wrong with a stack, as data, and how it reads as text.

mod gather;
mod json;
mod sarif;

use std::cell::{Cell, RefCell};
use std::fmt::Write;

use keel_plain::line;
use serde::Serialize;

pub use crate::code::{Code, Severity};
use crate::span::{Span, Texts};
pub use gather::gathered;
pub use json::{LinkRow, PlaceRow, ProblemRow, row};
pub use sarif::sarif;

/// One thing that is wrong, where, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// What kind of problem it is.
    pub code: Code,
    /// One line, lower case, without a final stop.
    pub message: String,
    /// The service it is about, where it is about one.
    pub service: Option<String>,
    /// Further services that share the place, and that the message names.
    pub others: Vec<String>,
    /// The text it is about.
    pub span: Option<Span>,
    /// What to say under the caret, where that adds something.
    pub label: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Problem {
    /// A problem of this kind; the code says how bad it is.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        let (severity, message) = (code.severity(), message.into());
        let (service, others, span, label, hint) = Default::default();
        Self { severity, code, message, service, others, span, label, hint }
    }

    /// The same problem, at this place.
    #[must_use]
    pub fn at(mut self, span: Span) -> Self {
        self.span = Some(span);
        self
    }

    /// The same problem, as one of this service.
    #[must_use]
    pub fn of(mut self, service: impl Into<String>) -> Self {
        self.service = Some(service.into());
        self
    }

    /// The same problem, with words for below the caret.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// The same problem, with advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Whether it makes the stack unusable.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// How many problems are kept: nobody reads more, and a hostile file could have millions.
const MOST: usize = 300;

/// Problems as they are found.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    kept: RefCell<Vec<Problem>>,
    errors: Cell<bool>,
    left_out: Cell<usize>,
}

impl Problems {
    pub(crate) fn add(&self, problem: Problem) {
        self.errors.set(self.errors.get() || problem.is_error());
        if self.is_full() {
            self.left_out.set(self.left_out.get() + 1);
        } else {
            self.kept.borrow_mut().push(problem);
        }
    }

    pub(crate) fn extend(&self, problems: impl IntoIterator<Item = Problem>) {
        problems.into_iter().for_each(|problem| self.add(problem));
    }

    /// Whether more problems would not be kept: hints for them are not worth looking for.
    pub(crate) fn is_full(&self) -> bool {
        self.kept.borrow().len() >= MOST
    }

    pub(crate) fn any_error(&self) -> bool {
        self.errors.get()
    }

    /// All that were kept, and a word about the others: an error when errors are only there.
    pub(crate) fn into_vec(self) -> Vec<Problem> {
        let mut kept = self.kept.into_inner();
        if self.left_out.get() > 0 {
            let message = format!("{} more problems are left out", self.left_out.get());
            let more = Problem::new(Code::More, message);
            let hidden = self.errors.get() && !kept.iter().any(Problem::is_error);
            let severity = if hidden { Severity::Error } else { Severity::Notice };
            kept.push(Problem { severity, ..more });
        }
        kept
    }
}

/// The problem as text, with the line it is about and a caret; ends with a line break.
pub fn render(problem: &Problem, texts: &Texts) -> String {
    render_at(problem, texts, None)
}

/// As [`render`], naming the revision that the files were read at.
pub fn render_at(problem: &Problem, texts: &Texts, revision: Option<&str>) -> String {
    let word = match problem.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Notice => "notice",
    };
    let mut out = format!("{word}: {} [{}]\n", line(&problem.message), problem.code);
    if let Some(span) = &problem.span {
        excerpt(&mut out, span, problem.label.as_deref(), texts, revision);
    }
    if let Some(hint) = &problem.hint {
        let _ = write!(out, "\nhint: {}\n", line(hint));
    }
    out
}

fn excerpt(
    out: &mut String,
    span: &Span,
    label: Option<&str>,
    texts: &Texts,
    revision: Option<&str>,
) {
    let number = span.line.to_string();
    let margin = " ".repeat(number.len());
    let revision = revision.map(|id| format!(" at revision {id}")).unwrap_or_default();
    let _ = writeln!(out, "{margin}--> {}{revision}", line(&span.to_string()));
    let Some(whole) = texts.line(&span.file, span.line) else { return };
    let (shown, column) = window(whole, span.column as usize);
    let room = shown.chars().count().saturating_sub(column.saturating_sub(1)).max(1);
    let carets = "^".repeat((span.len as usize).clamp(1, room));
    // Tabs stay tabs in the padding, so that the caret lines up whatever width they have.
    let pad: String = shown
        .chars()
        .take(column.saturating_sub(1))
        .map(|c| if c == '\t' { c } else { ' ' })
        .collect();
    let label = label.map(|text| format!(" {}", line(text))).unwrap_or_default();
    let _ = writeln!(out, "{margin} |\n{number} | {shown}\n{margin} | {pad}{carets}{label}");
    for step in span.chain() {
        let _ = writeln!(out, "{margin} = {}", line(&step.to_string()));
    }
}

/// What is shown of a line, and the column in it: lines of a thousand characters are cut.
fn window(line: &str, column: usize) -> (String, usize) {
    const WIDTH: usize = 160;
    const BEFORE: usize = 60;
    // One for one, so that the caret stays in place.
    let clean = |c: char| if keel_plain::is_unsafe(c) && c != '\t' { '\u{fffd}' } else { c };
    let skip = if column + BEFORE / 2 > WIDTH { column - BEFORE } else { 0 };
    let shown = line.chars().skip(skip).take(WIDTH).map(clean).collect::<String>();
    (shown.trim_end().to_owned(), column - skip)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(line: &str, column: u32, len: u32) -> String {
        let mut texts = Texts::default();
        texts.insert("a/compose.yaml".into(), format!("\n\n{line}\n").into());
        let span = Span::new("a/compose.yaml".into(), 3, column, len);
        let problem = Problem::new(Code::UnknownKey, "unknown key `replicaz` in service `web`");
        render_at(&problem.at(span).hint("did you mean `replicas`?"), &texts, Some("3f9c2a1"))
    }

    #[test]
    fn the_excerpt_has_its_caret() {
        let wanted = "\
error: unknown key `replicaz` in service `web` [E0401]
 --> a/compose.yaml:3:7 at revision 3f9c2a1
  |
3 |       replicaz: 3
  |       ^^^^^^^^

hint: did you mean `replicas`?
";
        assert_eq!(shown("      replicaz: 3", 7, 8), wanted);
    }

    #[test]
    fn tabs_and_long_lines_keep_the_caret_in_place() {
        assert!(shown("\tx: y", 2, 1).contains("| \tx: y\n  | \t^\n"));
        let long = format!("{}needle{}", "a".repeat(500), "b".repeat(500));
        let said = shown(&long, 501, 6);
        let caret = said.lines().find(|line| line.ends_with("^^^^^^")).unwrap();
        let text = said.lines().find(|line| line.starts_with("3 |")).unwrap();
        assert_eq!(&text[caret.len() - 6..caret.len()], "needle");
    }

    #[test]
    fn a_place_outside_of_the_text_is_still_named() {
        assert!(shown("x", 900, 4).contains("3:900"));
    }
}
