//! A plan in the making.

use crate::desired::DesiredService;
use crate::facts::Facts;
use crate::motion::Motion;
use crate::verdict::{Action, Hold, PlanEntry, Reason, Subject, Verdict};
use keel_engine::{Assignment, NodeName, Slot, TaskId, Wish};
use std::collections::{BTreeMap, BTreeSet};

/// Verdicts so far, and what they change in the stack's memory.
pub(crate) struct Draft {
    /// What every wish of this plan carries.
    pub generation: u64,
    verdicts: BTreeMap<(Subject, Option<NodeName>), Verdict>,
    /// What of each service is under way, once somebody asked.
    motions: BTreeMap<String, Motion>,
    /// Tasks of which something was asked that is over.
    pub answered: BTreeSet<TaskId>,
    /// Tasks for which this plan does what was asked.
    pub given: BTreeSet<TaskId>,
    /// References that are asked for now, each with the node that is asked.
    pub pulled: BTreeSet<(NodeName, String)>,
    /// Jobs that are started before the deploy, each with its task.
    pub jobs: Vec<(String, TaskId)>,
    /// Volumes are to go as soon as the revision is good.
    pub prunes_once_good: bool,
    /// What the whole revision still lacks, once somebody asked.
    pub lacking: Option<Option<(Slot, Hold)>>,
    /// Slots of all stacks that leave their nodes, once somebody asked.
    pub pool_moves: Option<u32>,
    /// When time alone changes a verdict.
    pub next: Option<u64>,
}

impl Draft {
    pub fn new(generation: u64) -> Self {
        Self {
            generation,
            verdicts: BTreeMap::new(),
            motions: BTreeMap::new(),
            answered: BTreeSet::new(),
            given: BTreeSet::new(),
            pulled: BTreeSet::new(),
            jobs: Vec::new(),
            prunes_once_good: false,
            lacking: None,
            pool_moves: None,
            next: None,
        }
    }

    /// What of a service is under way, with what this plan begins.
    pub fn motion(
        &mut self,
        facts: &Facts<'_>,
        name: &str,
        service: &DesiredService,
    ) -> &mut Motion {
        let motion = self.motions.entry(name.to_owned());
        motion.or_insert_with(|| Motion::of(facts, name, service))
    }

    pub fn wake(&mut self, at: u64) {
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }

    /// What becomes of a subject on a node. What is said of a task that exists goes to the node that
    /// has it; everything else, to the subject's.
    pub fn put(
        &mut self,
        facts: &Facts<'_>,
        subject: Subject,
        node: Option<&NodeName>,
        judgment: Judgment,
    ) {
        let verdict = match judgment {
            Judgment::Hold(hold) => Verdict::Hold(hold),
            Judgment::Act { action, reason, wishes } => {
                let here = node.unwrap_or(&facts.inputs.nodes.home);
                let wish = |what: Assignment| {
                    let has = match &what {
                        Assignment::Task(task) => facts.node_of(&task.id),
                        _ => None,
                    };
                    Wish { node: has.unwrap_or(here).clone(), what }
                };
                Verdict::Act { action, reason, wishes: wishes.into_iter().map(wish).collect() }
            }
        };
        self.verdicts.insert((subject, node.cloned()), verdict);
    }

    /// What becomes of a slot.
    pub fn put_slot(&mut self, facts: &Facts<'_>, slot: &Slot, judgment: Judgment) {
        self.put(facts, Subject::Slot(slot.clone()), facts.place(slot), judgment);
    }

    /// What becomes of a slot, as far as that is judged.
    pub fn of_slot(&self, slot: &Slot) -> Option<&Verdict> {
        let subject = Subject::Slot(slot.clone());
        let mut verdicts = self.verdicts.range((subject.clone(), None)..);
        verdicts.next().filter(|((next, _), _)| *next == subject).map(|(_, verdict)| verdict)
    }

    /// Every wish so far.
    pub fn wishes(&self) -> impl Iterator<Item = &Assignment> {
        let wishes = self.verdicts.values().flat_map(|verdict| match verdict {
            Verdict::Act { wishes, .. } => wishes.as_slice(),
            Verdict::Hold(_) => &[],
        });
        wishes.map(|wish| &wish.what)
    }

    /// In the order of subjects: resources, then slots by name; `web.2` before `web.10`.
    pub fn entries(self) -> Vec<PlanEntry> {
        let mut entries: Vec<_> = self
            .verdicts
            .into_iter()
            .map(|((subject, node), verdict)| PlanEntry { subject, node, verdict })
            .collect();
        entries.sort_by(|one, other| order(&one.subject).cmp(&order(&other.subject)));
        entries
    }
}

fn order(subject: &Subject) -> (u8, &str, usize) {
    match subject {
        Subject::Slot(slot) => (rank(subject), &slot.service, slot.slot.len()),
        _ => (rank(subject), "", 0),
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

/// What becomes of a subject, before it is said which node carries out what.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Judgment {
    Act { action: Action, reason: Reason, wishes: Vec<Assignment> },
    Hold(Hold),
}

pub(crate) fn act(action: Action, reason: Reason, wishes: Vec<Assignment>) -> Judgment {
    Judgment::Act { action, reason, wishes }
}

pub(crate) fn hold(hold: Hold) -> Judgment {
    Judgment::Hold(hold)
}
