//! A value that is wrong because a variable in it is not set: the error says which one.

use std::collections::BTreeSet;

use crate::code::Code;
use crate::problem::Problem;
use crate::span::{Span, Texts};

/// Gives errors about such values the advice that helps.
pub(crate) fn explain(problems: &mut [Problem], unset: &BTreeSet<String>, texts: &Texts) {
    if unset.is_empty() {
        return;
    }
    for problem in problems.iter_mut().filter(|problem| problem.is_error()) {
        let Some(name) = problem.span.as_ref().and_then(|span| used(span, unset, texts)) else {
            continue;
        };
        problem.hint = Some(format!("the variable `{name}` is not set: set it in `.env`"));
    }
}

/// Leaves out what is wrong only because a value's variables could not be put in: that has been said.
pub(crate) fn drop_consequences(problems: &mut Vec<Problem>, unfilled: &[Span]) {
    problems.retain(|problem| {
        let cause = matches!(
            problem.code,
            Code::InvalidTemplate | Code::MissingVariable | Code::ValueTooLong
        );
        let span = problem.span.as_ref().filter(|_| !cause);
        !span.is_some_and(|span| unfilled.iter().any(|value| within(span, value)))
    });
}

fn within(span: &Span, value: &Span) -> bool {
    let there = span.file == value.file && span.line == value.line;
    there
        && value.column <= span.column
        && span.column + span.len <= value.column + value.len.max(1)
}

/// The first variable that is not set in the text of `span`.
fn used(span: &Span, unset: &BTreeSet<String>, texts: &Texts) -> Option<String> {
    let line = texts.line(&span.file, span.line)?;
    let text: String = line
        .chars()
        .skip(usize::try_from(span.column).ok()?.saturating_sub(1))
        .take(usize::try_from(span.len).ok()?)
        .collect();
    text.split('$').skip(1).find_map(|rest| {
        let rest = rest.strip_prefix('{').unwrap_or(rest);
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        unset.get(&rest[..end.unwrap_or(rest.len())]).cloned()
    })
}
