//! What Git says of a commit: who wrote it, and its first line.

use crate::record::Commit;
use git2::{Oid, Repository};
use std::path::Path;

/// Characters of a name or line that are kept: a commit may say anything.
const LONGEST: usize = 200;

/// Of a commit in this bare clone; `None` where it cannot be read: it is shown, never needed.
pub(super) fn commit_of(clone: &Path, revision: &str) -> Option<Commit> {
    let repo = Repository::open_bare(clone).ok()?;
    let commit = repo.find_commit(Oid::from_str(revision).ok()?).ok()?;
    let author = commit.author();
    let name = String::from_utf8_lossy(author.name_bytes()).into_owned();
    let mail = String::from_utf8_lossy(author.email_bytes()).into_owned();
    let message = String::from_utf8_lossy(commit.message_bytes()).into_owned();
    let subject = message.trim_start().lines().next().unwrap_or_default();
    Some(Commit {
        revision: revision.to_owned(),
        author: printable(&format!("{name} <{mail}>")),
        subject: printable(subject),
    })
}

/// No escape sequence of a commit reaches a terminal, and none that turns the writing round.
fn printable(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().filter(|c| !c.is_control() && !turns(*c)).take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_left_out() {
        assert_eq!(printable("\u{1b}[31mred\u{7} \u{202e}evil ünï"), "[31mred evil ünï");
        assert_eq!(printable(&"x".repeat(900)).len(), LONGEST);
    }
}
