//! Who may decide about a stack: pure rules.

use keel_plan::desired::Owner;
use std::path::Path;

/// What a claim to a stack comes to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// It is free, or the claimant's already.
    Granted,
    /// It is taken from this owner, and that is to be said.
    Taken(Owner),
    /// It is another's; in words that follow the stack's name.
    Refused(String),
}

/// Whether `claimant`, who serves the stack from `dir`, may decide about it.
pub(crate) fn claim(owner: Option<&Owner>, claimant: &Owner, dir: &Path, take_over: bool) -> Claim {
    let Some(owner) = owner.filter(|owner| *owner != claimant) else { return Claim::Granted };
    let same_folder = match (owner, claimant) {
        // `up` of a folder, which is served now.
        (Owner::Cli { path }, Owner::Source { .. }) => Path::new(path) == dir,
        (Owner::Source { .. }, _) => false,
        // People on one machine are one owner, wherever they stand.
        (Owner::Cli { .. }, Owner::Cli { .. }) => return Claim::Granted,
    };
    if same_folder || take_over {
        return Claim::Taken(owner.clone());
    }
    Claim::Refused(format!("belongs to {owner}; `--take-over` takes it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_bind_until_somebody_takes_over() {
        let source = |name: &str, location: &str| Owner::Source {
            name: name.into(),
            location: location.into(),
        };
        let cli = |path: &str| Owner::Cli { path: path.into() };
        let here = Path::new("/srv/blog");
        let (home, moved) = (source("home", "/srv"), source("home", "/mnt"));
        let cases = [
            ("free", None, &home, false, "granted"),
            ("its own", Some(&home), &home, false, "granted"),
            ("moved elsewhere", Some(&home), &moved, false, "refused"),
            ("moved, and a person says so", Some(&home), &moved, true, "taken"),
            ("the very folder is served now", Some(&cli("/srv/blog")), &home, false, "taken"),
            ("another folder", Some(&cli("/tmp/blog")), &home, false, "refused"),
            ("up from elsewhere", Some(&cli("/tmp/blog")), &cli("/srv/blog"), false, "granted"),
            ("up of a served stack", Some(&home), &cli("/srv/blog"), false, "refused"),
        ];
        for (name, owner, claimant, take_over, expected) in cases {
            let word = match claim(owner, claimant, here, take_over) {
                Claim::Granted => "granted",
                Claim::Taken(_) => "taken",
                Claim::Refused(_) => "refused",
            };
            assert_eq!(word, expected, "{name}");
        }
    }
}
