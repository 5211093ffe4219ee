//! What is wrong with a stack, as data, and how it reads as text.

use std::fmt::Write;

use serde::Serialize;

use crate::span::{Span, Texts};

/// How bad a [`Problem`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The stack cannot be used.
    Error,
    /// Legal, but it hurts or is not run yet.
    Warning,
    /// Worth knowing; nothing to do.
    Notice,
}

/// One thing that is wrong, where, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// A stable name of the kind of problem, such as `unknown-key`.
    pub code: &'static str,
    /// One line, lower case, without a final stop.
    pub message: String,
    /// The text it is about.
    pub span: Option<Span>,
    /// What to say under the caret, where that adds something.
    pub label: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Problem {
    /// A problem that makes the stack unusable.
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, message)
    }

    /// Something legal that hurts, or that this version does not run.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, message)
    }

    /// Something worth knowing.
    pub fn notice(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Notice, code, message)
    }

    fn new(severity: Severity, code: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { severity, code, message, span: None, label: None, hint: None }
    }

    /// The same problem, at this place.
    #[must_use]
    pub fn at(mut self, span: Span) -> Self {
        self.span = Some(span);
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
    let mut out = format!("{word}: {}\n", problem.message);
    if let Some(span) = &problem.span {
        excerpt(&mut out, span, problem.label.as_deref(), texts, revision);
    }
    if let Some(hint) = &problem.hint {
        let _ = write!(out, "\nhint: {hint}\n");
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
    let _ = writeln!(out, "{margin}--> {span}{revision}");
    let Some(line) = texts.line(&span.file, span.line) else { return };
    let (shown, column) = window(line, span.column as usize);
    let room = shown.chars().count().saturating_sub(column.saturating_sub(1)).max(1);
    let carets = "^".repeat((span.len as usize).clamp(1, room));
    // Tabs stay tabs in the padding, so that the caret lines up whatever width they have.
    let pad: String = shown
        .chars()
        .take(column.saturating_sub(1))
        .map(|c| if c == '\t' { c } else { ' ' })
        .collect();
    let label = label.map(|text| format!(" {text}")).unwrap_or_default();
    let _ = writeln!(out, "{margin} |\n{number} | {shown}\n{margin} | {pad}{carets}{label}");
    for step in span.chain() {
        let _ = writeln!(out, "{margin} = {step}");
    }
}

/// What is shown of a line, and the column in it: lines of a thousand characters are cut.
fn window(line: &str, column: usize) -> (String, usize) {
    const WIDTH: usize = 160;
    const BEFORE: usize = 60;
    let clean = |c: char| if c.is_control() && c != '\t' { '\u{fffd}' } else { c };
    let skip = if column > WIDTH { column - BEFORE } else { 0 };
    let shown = line.chars().skip(skip).take(WIDTH).map(clean).collect::<String>();
    (shown.trim_end().to_owned(), column - skip)
}
