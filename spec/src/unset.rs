//! A value that is wrong because a variable in it is not set: the error says which one.

use std::collections::BTreeSet;

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
