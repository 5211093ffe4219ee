//! Warnings that somebody means: `x-keel: {allow: [W0301]}` of a stack or a service, and
//! `# keel: allow W0301` on the line, or alone above it.

use std::collections::BTreeSet;

use crate::code::{Code, Severity};
use crate::decode::Field;
use crate::nearest;
use crate::problem::Problem;
use crate::span::{Span, Texts};

/// How the comment begins.
const COMMENT: &str = "# keel: allow ";

/// Reads `allow` of an `x-keel`.
pub(crate) fn decode(owner: &Field<'_>) -> BTreeSet<Code> {
    let Some(field) = owner.get("x-keel").and_then(|keel| keel.get("allow")) else {
        return BTreeSet::new();
    };
    field.list().iter().filter_map(code).collect()
}

fn code(field: &Field<'_>) -> Option<Code> {
    let text = field.text()?;
    match Code::of(&text) {
        Some(code) if code.severity() != Severity::Error => Some(code),
        Some(code) => {
            let message = format!("{code} is an error, and cannot be allowed");
            field.refuse(Code::BadValue, message);
            None
        }
        None => {
            let message =
                format!("{} must be the code of a warning, such as `W0301`", field.name());
            let mut problem = Problem::new(Code::BadValue, message).at(field.place().clone());
            problem.hint = nearest::hint(&text, Code::ALL.iter().map(|code| code.id()));
            field.scope.add(problem);
            None
        }
    }
}

/// Whether a comment on the line, or alone above it, allows the code.
pub(crate) fn by_comment(texts: &Texts, span: &Span, code: Code) -> bool {
    let names = |line: &str| comment(line).any(|word| word.eq_ignore_ascii_case(code.id()));
    let above = span.line.checked_sub(1).and_then(|line| texts.any_line(&span.file, line));
    texts.any_line(&span.file, span.line).is_some_and(names)
        || above.is_some_and(|line| line.trim_start().starts_with('#') && names(line))
}

/// The codes that a comment on this line allows.
fn comment(line: &str) -> impl Iterator<Item = &str> {
    let start =
        line.find(COMMENT).filter(|at| !line[..*at].ends_with(|c: char| !c.is_whitespace()));
    let words = start.map_or("", |at| &line[at + COMMENT.len()..]);
    words.split([',', ' ']).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_with_what_they_allow() {
        let cases: [(&str, &[&str]); 5] = [
            ("image: nginx # keel: allow W0301", &["W0301"]),
            (
                "# keel: allow W0301, W0302 since it is small",
                &["W0301", "W0302", "since", "it", "is", "small"],
            ),
            ("image: nginx# keel: allow W0301", &[]),
            ("image: nginx # allow W0301", &[]),
            ("", &[]),
        ];
        for (line, codes) in cases {
            assert_eq!(comment(line).collect::<Vec<_>>(), codes, "{line}");
        }
    }
}
