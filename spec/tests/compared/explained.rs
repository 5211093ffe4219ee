//! Why docker-compose 1.29 makes something else of a file: paragraphs, each with its reason and,
//! indented below it, parts of the differences that it is the reason of.

use std::path::Path;

/// All of them, and which explained something.
pub struct Explanations {
    parts: Vec<(String, bool)>,
}

impl Explanations {
    /// Reads a file of them.
    pub fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).expect("the explanations are here");
        let parts = text.lines().filter_map(|line| line.strip_prefix("  "));
        Self { parts: parts.map(|part| (part.to_owned(), false)).collect() }
    }

    /// Whether a difference is explained. Each `*` of a part stands for any text.
    pub fn explain(&mut self, difference: &str) -> bool {
        if difference.ends_with(": same") || difference.ends_with(": both refuse it") {
            return true;
        }
        let found = self.parts.iter_mut().find(|(part, _)| holds(difference, part));
        if let Some((_, used)) = found {
            *used = true;
            return true;
        }
        false
    }

    /// Those that explained nothing.
    pub fn unused(&self) -> Vec<&str> {
        self.parts.iter().filter(|(_, used)| !used).map(|(part, _)| part.as_str()).collect()
    }
}

fn holds(text: &str, part: &str) -> bool {
    let mut rest = text;
    part.split('*').all(|piece| match rest.split_once(piece) {
        Some((_, after)) => {
            rest = after;
            true
        }
        None => false,
    })
}
