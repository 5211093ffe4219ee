//! What a commit is told of its way through a stack: pure.
//!
//! # Invariants
//! - The same state of the same commit is told once.
//! - No commit is left as being on its way: one that was overtaken, or whose stack is gone, is
//!   told so.

use super::{CommitState, Way};
use keel_engine::short;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How the newest commit of a source fares in one stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fares {
    pub source: String,
    pub stack: String,
    pub revision: String,
    pub way: Way,
    pub words: String,
}

/// What was told last, by context.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Answers(BTreeMap<String, Last>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Last {
    source: String,
    revision: String,
    way: Way,
}

impl Answers {
    /// What is news, each with the source whose forge is told.
    pub fn look(&mut self, fares: &[Fares]) -> Vec<(String, CommitState)> {
        let mut news = self.gone(fares);
        for one in fares.iter().filter(|one| is_commit(&one.revision)) {
            let context = format!("keel/{}/{}", one.source, one.stack);
            let last = self.0.get(&context);
            if last.is_some_and(|last| last.revision == one.revision && last.way == one.way) {
                continue;
            }
            let overtaken = last.filter(|last| last.revision != one.revision);
            if let Some(last) = overtaken.filter(|last| last.way == Way::Pending) {
                let words = format!("superseded by {}", short(&one.revision));
                news.push(superseded(last, &context, words));
            }
            let (source, revision) = (one.source.clone(), one.revision.clone());
            let told = Last { source, revision: revision.clone(), way: one.way };
            self.0.insert(context.clone(), told);
            let description = one.words.clone();
            let state = CommitState { revision, context, state: one.way, description };
            news.push((one.source.clone(), state));
        }
        news
    }

    fn gone(&mut self, fares: &[Fares]) -> Vec<(String, CommitState)> {
        let there = |context: &String| {
            fares.iter().any(|one| *context == format!("keel/{}/{}", one.source, one.stack))
        };
        let all = std::mem::take(&mut self.0);
        let (left, gone): (BTreeMap<_, _>, Vec<_>) = all.into_iter().fold(
            (BTreeMap::new(), Vec::new()),
            |(mut left, mut gone), (context, last)| {
                match there(&context) {
                    true => drop(left.insert(context, last)),
                    false => gone.push((context, last)),
                }
                (left, gone)
            },
        );
        self.0 = left;
        let pending = gone.iter().filter(|(_, last)| last.way == Way::Pending);
        let told = |(context, last): &(String, Last)| {
            superseded(last, context, "its stack is gone".to_owned())
        };
        pending.map(told).collect()
    }
}

fn superseded(last: &Last, context: &str, description: String) -> (String, CommitState) {
    let (revision, context) = (last.revision.clone(), context.to_owned());
    let state = CommitState { revision, context, state: Way::Superseded, description };
    (last.source.clone(), state)
}

/// Folders have revisions, too, that no forge knows.
fn is_commit(revision: &str) -> bool {
    matches!(revision.len(), 40 | 64) && revision.bytes().all(|b| b.is_ascii_hexdigit())
}
