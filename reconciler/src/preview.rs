//! What a push would do, before it is one: the shapes that whoever holds the tree and the controller
//! exchange, and which source a work tree belongs to.
//!
//! The controller loads the tree as its source would: with the source's variables, data folder, owner
//! and limits, none of which a person's own machine or account needs to know.

use crate::ask::StackPlan;
use crate::source::location::Location;
use keel_engine::StackName;
use keel_plan::desired::Desired;
use serde::{Deserialize, Serialize};

pub use crate::stack_change::StackChange;

/// Bytes of a pack that are sent: more than stacks have, and less than the API takes.
pub const MOST_OF_A_PACK: usize = 40 << 20;

/// A source that something can be previewed for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ServedSource {
    /// Its name.
    pub name: String,
    /// URL without credentials, or folder.
    pub location: String,
    /// A folder, and no repository.
    pub folder: bool,
    /// The branch that it follows; `None`: the one that the repository's HEAD names, or no branch.
    pub branch: Option<String>,
    /// It follows a tag or commit, in these words, so that a push of a branch changes nothing.
    pub fixed: Option<String>,
    /// The globs of its stacks.
    pub paths: Vec<String>,
    /// The commit that it is at; empty: none yet.
    pub revision: String,
}

/// What is to be previewed.
#[derive(Clone, Serialize, Deserialize)]
pub struct PreviewAsk {
    /// For this source; `None`: for the one that has the stack.
    #[serde(default)]
    pub source: Option<String>,
    /// What of it.
    pub of: PreviewOf,
    /// Only stacks whose folders are here or below, relative to the repository's or source's root.
    #[serde(default)]
    pub below: String,
    /// Only this stack.
    #[serde(default)]
    pub stack: Option<StackName>,
}

/// What stands for the source's next revision.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PreviewOf {
    /// A tree, and what of it the source's clone lacks.
    Tree {
        /// The commit that it would be pushed as, as far as that is known.
        commit: String,
        /// The tree's id.
        tree: String,
        /// A pack, base64.
        pack: String,
    },
    /// A branch, a tag or a commit of the source's repository.
    Revision(String),
    /// The source's folder, as it is.
    Folder,
}

/// What a push would do.
#[derive(Clone, Serialize, Deserialize)]
pub struct PreviewAnswer {
    /// The source.
    pub source: String,
    /// The commit that was looked at; empty for a folder.
    pub revision: String,
    /// The commit that the source is at; empty: none.
    pub present: String,
    /// Lines about the whole revision, such as that it would be held.
    pub notes: Vec<String>,
    /// Stacks that are refused: each error with position and excerpt.
    pub errors: Vec<String>,
    /// Warnings likewise.
    pub warnings: Vec<String>,
    /// Stacks that the revision has, and those that it would remove, by name.
    pub stacks: Vec<PreviewStack>,
}

/// One stack of it.
#[derive(Clone, Serialize, Deserialize)]
pub struct PreviewStack {
    /// What a pass would do.
    pub plan: StackPlan,
    /// What would be desired; `None`: nothing any more.
    pub desired: Option<Desired>,
    /// What is.
    pub stored: Option<Desired>,
}

/// Whether one of a work tree's remotes is the repository of a source, whichever way each of them is
/// written: with a user, over ssh or https, with `.git` at the end or without.
#[must_use]
pub fn is_remote_of(source: &ServedSource, remotes: &[String]) -> bool {
    let Some(wanted) = place(&source.location) else { return false };
    !source.folder && remotes.iter().any(|remote| place(remote).is_some_and(|it| it == wanted))
}

/// Host and path of a repository. A path of this machine has no host; nor has one over ssh that is a
/// path of some machine's root, since a name does not tell which machine is meant.
fn place(url: &str) -> Option<(String, String)> {
    let (host, path) = match Location::parse(url)? {
        Location::Ssh { destination, path, .. } => {
            let host = destination.rsplit('@').next().unwrap_or_default().to_owned();
            (host, path)
        }
        Location::Http => {
            let rest = url.split_once("://")?.1;
            let (host, path) = rest.split_once('/')?;
            let host = host.rsplit('@').next().unwrap_or_default();
            (host.split(':').next().unwrap_or_default().to_owned(), path.to_owned())
        }
        Location::Local => (String::new(), url.strip_prefix("file://").unwrap_or(url).to_owned()),
    };
    let path = path.trim_matches('/').trim_end_matches(".git").trim_end_matches('/');
    Some((host.to_lowercase(), path.to_owned()))
}

/// Whether a remote over ssh names the very folder that a source reads on this machine: so are
/// repositories of our own pushed to.
#[must_use]
pub fn is_pushed_over_ssh_to(source: &ServedSource, remotes: &[String]) -> bool {
    let Some((host, path)) = place(&source.location).filter(|_| !source.folder) else {
        return false;
    };
    let same = |remote: &String| {
        matches!(Location::parse(remote), Some(Location::Ssh { path: theirs, .. }) if theirs.starts_with('/'))
            && place(remote).is_some_and(|(_, theirs)| theirs == path)
    };
    host.is_empty() && remotes.iter().any(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(location: &str) -> ServedSource {
        ServedSource {
            name: "home".into(),
            location: location.into(),
            folder: false,
            branch: None,
            fixed: None,
            paths: vec![],
            revision: String::new(),
        }
    }

    #[test]
    fn a_remote_is_a_sources_however_it_is_written() {
        let cases = [
            ("https://git.example.org/team/a.git", "https://git.example.org/team/a", true),
            ("https://git.example.org/team/a.git", "git@git.example.org:team/a.git", true),
            ("https://git.example.org/team/a", "https://me:x@GIT.example.org/team/a/", true),
            ("ssh://git@git.example.org:2222/team/a", "git@git.example.org:team/a", true),
            ("https://git.example.org/team/a", "https://git.example.org/team/b", false),
            ("https://git.example.org/team/a", "https://other.example.org/team/a", false),
            ("/srv/git/a.git", "/srv/git/a", true),
            ("/srv/git/a.git", "file:///srv/git/a.git", true),
            ("/srv/git/a.git", "https://srv/git/a.git", false),
        ];
        for (location, remote, expected) in cases {
            let found = is_remote_of(&source(location), &[remote.to_owned()]);
            assert_eq!(found, expected, "{location} {remote}");
        }
        let own = source("/var/lib/keel/repos/home.git");
        let ssh = |remote: &str| is_pushed_over_ssh_to(&own, &[remote.to_owned()]);
        assert!(ssh("root@host:/var/lib/keel/repos/home.git"));
        assert!(ssh("ssh://host/var/lib/keel/repos/home.git"));
        assert!(!ssh("root@host:var/lib/keel/repos/home.git"));
        assert!(!ssh("/elsewhere/home.git"));
    }
}
