//! What a commit is told of its way.

use crate::cut;

/// The status of one commit under one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitStatus {
    /// The commit, all digits.
    pub revision: String,
    /// Under which name: newer ones replace older ones.
    pub context: String,
    /// How it is.
    pub state: StatusState,
    /// In a line.
    pub description: String,
}

/// How a commit fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusState {
    /// It is on its way.
    Pending,
    /// It runs, and is well.
    Success,
    /// It does not.
    Failure,
    /// A newer one came before it was there.
    Superseded,
}

impl CommitStatus {
    /// The description on one line within so many characters.
    pub(crate) fn line(&self, most: usize) -> String {
        let words: Vec<_> = self.description.split_whitespace().collect();
        cut::characters(&words.join(" "), most)
    }
}
