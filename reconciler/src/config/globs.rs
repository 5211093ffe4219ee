//! What is wrong with a glob before any folder was compared with it. Pure.

use std::path::{Component, Path};

/// In words; `None` where it can match something.
pub(super) fn fault(glob: &str) -> Option<&'static str> {
    if Path::new(glob).is_absolute() {
        return Some("it is seen from the source's own folder, so it has no `/` in front");
    }
    if Path::new(glob).components().any(|part| part == Component::ParentDir) {
        return Some("it leaves the source");
    }
    (!closes(glob)).then_some("a bracket in it is not closed")
}

fn closes(glob: &str) -> bool {
    let (mut open, mut chars) = (Vec::new(), glob.chars());
    while let Some(c) = chars.next() {
        match c {
            '\\' => drop(chars.next()),
            '[' => open.push(']'),
            '{' => open.push('}'),
            ']' | '}' if open.last() == Some(&c) => drop(open.pop()),
            _ => {}
        }
    }
    open.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_that_can_match_nothing_is_told() {
        let sound = [".", "stacks/*", "**/prod", "{a,b}/*", "[ab]*", "\\[a", "stacks/..a"];
        assert_eq!(sound.map(fault), [None; 7]);
        for (glob, words) in [
            ("/srv/stacks", "no `/` in front"),
            ("../*", "leaves the source"),
            ("stacks/../../x", "leaves the source"),
            ("[", "not closed"),
            ("{a,b", "not closed"),
        ] {
            assert!(fault(glob).unwrap_or_default().contains(words), "{glob}");
        }
    }
}
