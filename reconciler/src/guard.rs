//! Guards that need a whole source at once: a revision that would take too much away waits for a
//! person. Pure.

use keel_engine::StackName;
use std::collections::BTreeSet;

/// Why a revision waits; `None` lets it through. `owned` are the stacks that are on record for
/// the source, `named` those that the revision names, refused ones too.
pub(crate) fn too_much_gone(
    owned: &BTreeSet<StackName>,
    named: &BTreeSet<StackName>,
) -> Option<String> {
    let gone: Vec<_> = owned.difference(named).map(StackName::as_str).collect();
    if !owned.is_empty() && named.is_empty() {
        return Some(format!("it names no stack, and would remove {}", gone.join(", ")));
    }
    if gone.len() * 2 > owned.len() {
        let (gone, names) = (gone.len(), gone.join(", "));
        return Some(format!("it would remove {gone} of {} stacks: {names}", owned.len()));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &str) -> BTreeSet<StackName> {
        names.split_whitespace().map(|name| StackName::new(name).unwrap()).collect()
    }

    #[test]
    fn a_revision_that_takes_too_much_away_is_held() {
        let cases = [
            ("first revision", "", "a b", false),
            ("nothing yet, nothing named", "", "", false),
            ("one of two goes", "a b", "a", false),
            ("two of three go", "a b c", "a", true),
            ("half goes", "a b c d", "a b", false),
            ("emptied", "a", "", true),
            ("renamed while alone", "a", "b", true),
            ("one goes, one comes", "a b c", "a b d", false),
        ];
        for (name, owned, named, held) in cases {
            assert_eq!(too_much_gone(&set(owned), &set(named)).is_some(), held, "{name}");
        }
    }
}
