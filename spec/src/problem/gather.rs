//! One problem for each place. Services that share it (by an anchor, a merge key, `extends` or
//! `include`) have the same to be told, so it is told once, with their names.

use std::collections::HashMap;

use super::Problem;

/// Names of further services that a message has.
const NAMED: usize = 4;

/// What makes two problems the same but for their service: kind, file, line, column and words.
type Sameness = (crate::Code, std::sync::Arc<str>, u32, u32, String);

/// The same problems in the same order, those of several services at one place as one.
#[must_use]
pub fn gathered(problems: Vec<Problem>) -> Vec<Problem> {
    let mut kept: Vec<Problem> = Vec::with_capacity(problems.len());
    let mut first: HashMap<Sameness, usize> = HashMap::new();
    for mut problem in problems {
        let (Some(key), Some(service)) = (sameness(&problem), problem.service.clone()) else {
            kept.push(problem);
            continue;
        };
        match first.get(&key) {
            Some(&at) if kept[at].service.as_ref() == Some(&service) => kept.push(problem),
            Some(&at) if kept[at].others.contains(&service) => {}
            Some(&at) => {
                kept[at].others.push(service);
                kept[at].others.append(&mut problem.others);
            }
            None => {
                first.insert(key, kept.len());
                kept.push(problem);
            }
        }
    }
    kept.iter_mut().filter(|problem| !problem.others.is_empty()).for_each(name_others);
    kept
}

fn sameness(problem: &Problem) -> Option<Sameness> {
    let (span, service) = (problem.span.as_ref()?, problem.service.as_ref()?);
    let words = problem.message.replace(&format!("service `{service}`"), "service");
    Some((problem.code, span.file.clone(), span.line, span.column, words))
}

fn name_others(problem: &mut Problem) {
    let named: Vec<_> =
        problem.others.iter().take(NAMED).map(|service| format!("`{service}`")).collect();
    let more = match problem.others.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let word = if problem.others.len() == 1 { "service" } else { "services" };
    problem.message = format!("{} (also {word} {}{more})", problem.message, named.join(", "));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Code, Span};

    fn about(service: &str, line: u32, words: &str) -> Problem {
        let message = format!("`platform` of service `{service}` {words}");
        let span = Span::new("compose.yaml".into(), line, 3, 1);
        Problem::new(Code::NotRunYet, message).of(service).at(span)
    }

    fn messages(problems: Vec<Problem>) -> Vec<String> {
        gathered(problems).into_iter().map(|problem| problem.message).collect()
    }

    #[test]
    fn services_that_share_a_place_are_named_in_one_problem() {
        let told = messages(vec![about("a", 1, "x"), about("b", 1, "x"), about("c", 2, "x")]);
        assert_eq!(
            told,
            ["`platform` of service `a` x (also service `b`)", "`platform` of service `c` x"]
        );
        let many = ["a", "b", "c", "d", "e", "f", "g"].map(|name| about(name, 1, "x"));
        let told = messages(many.into());
        assert_eq!(
            told,
            ["`platform` of service `a` x (also services `b`, `c`, `d`, `e` and 2 more)"]
        );
    }

    #[test]
    fn what_differs_is_told_apart() {
        let different = vec![about("a", 1, "x"), about("b", 1, "y")];
        assert_eq!(messages(different).len(), 2);
        let mut without = vec![about("a", 1, "x"), about("b", 1, "x")];
        without[1].span = None;
        assert_eq!(messages(without).len(), 2);
        assert_eq!(messages(vec![about("a", 1, "x"), about("a", 1, "x")]).len(), 2);
    }
}
