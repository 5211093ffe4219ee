//! A plan in the making.

use crate::desired::DesiredService;
use crate::facts::Facts;
use crate::motion::Motion;
use crate::verdict::{Action, Hold, PlanEntry, Reason, Subject, Verdict};
use keel_engine::{Assignment, NodeName, Slot, TaskId, Wish};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Verdicts so far, and what they change in the stack's memory.
pub(crate) struct Draft {
    /// What every wish of this plan carries.
    pub generation: u64,
    verdicts: BTreeMap<(Subject, Option<NodeName>), Verdict>,
    /// Those for slots, which may be many: each is in one place.
    slots: HashMap<Slot, (Option<NodeName>, Verdict)>,
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
            slots: HashMap::new(),
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
        let verdict = sent(facts, node, judgment);
        self.verdicts.insert((subject, node.cloned()), verdict);
    }

    /// What becomes of a slot.
    pub fn put_slot(&mut self, facts: &Facts<'_>, slot: &Slot, judgment: Judgment) {
        self.put_slot_on(facts, slot, facts.place(slot), judgment);
    }

    /// The same, where its place is known.
    pub fn put_slot_on(
        &mut self,
        facts: &Facts<'_>,
        slot: &Slot,
        node: Option<&NodeName>,
        judgment: Judgment,
    ) {
        let verdict = sent(facts, node, judgment);
        self.slots.insert(slot.clone(), (node.cloned(), verdict));
    }

    /// What becomes of a slot, as far as that is judged.
    pub fn of_slot(&self, slot: &Slot) -> Option<&Verdict> {
        self.slots.get(slot).map(|(_, verdict)| verdict)
    }

    /// Every wish so far: those for one subject in order. No task is in two slots.
    pub fn wishes(&self) -> impl Iterator<Item = &Assignment> {
        let verdicts = self.verdicts.values().chain(self.slots.values().map(|(_, one)| one));
        let wishes = verdicts.flat_map(|verdict| match verdict {
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
        let slots = self.slots.into_iter().map(|(slot, (node, verdict))| PlanEntry {
            subject: Subject::Slot(slot),
            node,
            verdict,
        });
        entries.extend(slots);
        entries.sort_by(|one, other| order(&one.subject).cmp(&order(&other.subject)));
        entries
    }
}

/// No two slots are equal in this. Of other subjects, those on several nodes stay as they are.
fn order(subject: &Subject) -> (u8, &str, usize, &str) {
    match subject {
        Subject::Slot(slot) => (rank(subject), &slot.service, slot.slot.len(), &slot.slot),
        _ => (rank(subject), "", 0, ""),
    }
}

/// A verdict, with the node that carries out each wish.
fn sent(facts: &Facts<'_>, node: Option<&NodeName>, judgment: Judgment) -> Verdict {
    let here = node.unwrap_or(&facts.inputs.nodes.home);
    let wish = |what: Assignment| {
        let has = match &what {
            Assignment::Task(task) => facts.node_of(&task.id),
            _ => None,
        };
        Wish { node: has.unwrap_or(here).clone(), what }
    };
    match judgment {
        Judgment::Hold(hold) => Verdict::Hold(hold),
        Judgment::Act { action, reason, wishes } => {
            Verdict::Act { action, reason, wishes: wishes.into_iter().map(wish).collect() }
        }
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
