//! Problems of Compose files, printed with the line that they are about.

use crate::show::Screen;

/// Tells them all; the texts are ready to print. A quiet person is spared the notices.
pub fn tell(screen: &Screen, errors: &[String], warnings: &[String]) {
    let worth_it = |text: &&String| !(screen.quiet() && text.starts_with("notice:"));
    for text in errors.iter().chain(warnings).filter(worth_it) {
        screen.problem(text);
        screen.blank();
    }
}

/// `2 errors, 1 warning`; empty where there is nothing.
pub fn count(errors: &[String], warnings: &[String]) -> String {
    let notices = warnings.iter().filter(|text| text.starts_with("notice:")).count();
    let numbers =
        [(errors.len(), "error"), (warnings.len() - notices, "warning"), (notices, "notice")];
    let words = numbers.iter().filter_map(|(number, word)| match number {
        0 => None,
        1 => Some(format!("1 {word}")),
        number => Some(format!("{number} {word}s")),
    });
    words.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_counted_by_kind() {
        let texts =
            |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        assert_eq!(count(&[], &[]), "");
        let warnings = texts(&["warning: a", "notice: b", "warning: c"]);
        assert_eq!(count(&texts(&["error: d"]), &warnings), "1 error, 2 warnings, 1 notice");
    }
}
