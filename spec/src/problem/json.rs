//! Problems as JSON, for programs.

use super::Problem;
use crate::span::{Link, Span};
use schemars::JsonSchema;
use serde::Serialize;

/// A problem with its place. What it does not have is absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ProblemRow {
    /// `E0401`; `keel explain` describes it.
    pub code: String,
    /// The code's name: `unknown-key`.
    pub name: String,
    /// `error`, `warning`, `notice`.
    pub severity: String,
    /// One line.
    pub message: String,
    /// The service it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Further services with the same problem at the same place.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<String>,
    /// What an excerpt says below the caret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Where it is.
    #[serde(flatten)]
    pub place: Option<PlaceRow>,
    /// How the value came to that place, nearest first: what it overrides, which file includes it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub chain: Vec<LinkRow>,
}

/// A place in a file. Lines and columns count from 1, in characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PlaceRow {
    /// The file, as shown to people.
    pub file: String,
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
    /// How many characters of the line.
    pub length: u32,
}

/// One step of the way that a value took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LinkRow {
    /// `overrides`, `included`, ….
    pub how: String,
    /// The file.
    pub file: String,
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

/// The problem as programs read it.
pub fn row(problem: &Problem) -> ProblemRow {
    let Problem { severity, code, message, service, others, span, label, hint } = problem;
    ProblemRow {
        code: code.to_string(),
        name: code.name().to_owned(),
        severity: word(severity),
        message: message.clone(),
        service: service.clone(),
        others: others.clone(),
        label: label.clone(),
        hint: hint.clone(),
        place: span.as_ref().map(place),
        chain: span.iter().flat_map(|span| span.links().map(link)).collect(),
    }
}

fn word(severity: &super::Severity) -> String {
    use super::Severity;
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Notice => "notice",
    }
    .to_owned()
}

fn place(span: &Span) -> PlaceRow {
    let Span { file, line, column, len, .. } = span;
    PlaceRow { file: file.to_string(), line: *line, column: *column, length: *len }
}

fn link(link: &Link) -> LinkRow {
    let Span { file, line, column, .. } = &link.at;
    LinkRow { how: link.to_string(), file: file.to_string(), line: *line, column: *column }
}
