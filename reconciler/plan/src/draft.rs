//! A plan in the making.

use crate::verdict::{Action, Entry, Hold, Reason, Subject, Verdict};
use keel_engine::{Assignment, TaskId};
use std::collections::{BTreeMap, BTreeSet};

/// Verdicts so far, and what they change in the stack's memory.
pub(crate) struct Draft {
    /// What every wish of this plan carries.
    pub generation: u64,
    verdicts: BTreeMap<Subject, Verdict>,
    /// Services of which a slot is set in motion by this plan.
    pub moved: BTreeSet<String>,
    /// Tasks of which something was asked that is over.
    pub answered: BTreeSet<TaskId>,
    /// Tasks for which this plan does what was asked.
    pub given: BTreeSet<TaskId>,
    /// References that are asked for now.
    pub pulled: BTreeSet<String>,
    /// Jobs that are started before the deploy, each with its task.
    pub jobs: Vec<(String, TaskId)>,
    /// Volumes are to go as soon as the revision is good.
    pub prunes_once_good: bool,
    /// When time alone changes a verdict.
    pub next: Option<u64>,
}

impl Draft {
    pub fn new(generation: u64) -> Self {
        Self {
            generation,
            verdicts: BTreeMap::new(),
            moved: BTreeSet::new(),
            answered: BTreeSet::new(),
            given: BTreeSet::new(),
            pulled: BTreeSet::new(),
            jobs: Vec::new(),
            prunes_once_good: false,
            next: None,
        }
    }

    pub fn wake(&mut self, at: u64) {
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }

    pub fn put(&mut self, subject: Subject, verdict: Verdict) {
        self.verdicts.insert(subject, verdict);
    }

    pub fn verdict(&self, subject: &Subject) -> Option<&Verdict> {
        self.verdicts.get(subject)
    }

    /// Every wish so far.
    pub fn wishes(&self) -> impl Iterator<Item = &Assignment> {
        self.verdicts.values().flat_map(|verdict| match verdict {
            Verdict::Act { wishes, .. } => wishes.as_slice(),
            Verdict::Hold(_) => &[],
        })
    }

    /// In the order of subjects: resources, then slots by name; `web.2` before `web.10`.
    pub fn entries(self) -> Vec<Entry> {
        let mut entries: Vec<_> = self
            .verdicts
            .into_iter()
            .map(|(subject, verdict)| Entry { subject, verdict })
            .collect();
        entries.sort_by_cached_key(|entry| match &entry.subject {
            Subject::Slot(slot) => (slot.service.clone(), slot.slot.len()),
            _ => (String::new(), 0),
        });
        entries.sort_by_key(|entry| rank(&entry.subject));
        entries
    }
}

fn rank(subject: &Subject) -> u8 {
    match subject {
        Subject::Image(_) => 0,
        Subject::Network(_) => 1,
        Subject::Volume(_) => 2,
        Subject::Slot(_) => 3,
        Subject::Service(_) => 4,
        Subject::Stack(_) => 5,
    }
}

pub(crate) fn act(action: Action, reason: Reason, wishes: Vec<Assignment>) -> Verdict {
    Verdict::Act { action, reason, wishes }
}

pub(crate) fn hold(hold: Hold) -> Verdict {
    Verdict::Hold(hold)
}
