//! Configs, secrets and files of revisions: the controller's own node keeps all of them, and every other node is handed
//! what its tasks name, and nothing else.

use super::{Fleet, Turns};
use crate::fleet::member::Member;
use futures_util::future::join_all;
use keel_engine::{
    Assignment, Digest, FailureKind, Goal, MountError, NodeName, Nodes, ObservedTask, Result,
    StackName, Turn, Wish,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What one node's tasks name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    named: BTreeSet<Digest>,
    /// Of these the node says that it lacks some, whatever it was handed before.
    awaited: BTreeSet<Digest>,
}

/// What the tasks of a stack name on each node but the controller's own, which has everything: those that are there,
/// and those that are on their way.
pub fn needs(stack: &StackName, nodes: &Nodes, wishes: &[Wish]) -> BTreeMap<NodeName, Needs> {
    let mut needs: BTreeMap<NodeName, Needs> = BTreeMap::new();
    let runs = |goal: Goal| matches!(goal, Goal::Ready | Goal::Running);
    for (name, report) in &nodes.reports {
        let Some(observation) = report.known().filter(|_| *name != nodes.home) else { continue };
        for (_, task) in observation.tasks_of(stack).filter(|(_, task)| runs(task.goal)) {
            let of = needs.entry(name.clone()).or_default();
            of.named.extend(task.spec.contents());
            of.awaited.extend(task.spec.contents().filter(|_| awaits(task)));
        }
    }
    for wish in wishes.iter().filter(|wish| wish.node != nodes.home) {
        if let Assignment::Task(task) = &wish.what
            && runs(task.goal)
        {
            needs.entry(wish.node.clone()).or_default().named.extend(task.spec.contents());
        }
    }
    needs
}

fn awaits(task: &ObservedTask) -> bool {
    let kind = task.message.as_ref().map(|message| &message.kind);
    let awaited = |error: &MountError| {
        matches!(error, MountError::ContentAwaited { .. } | MountError::FilesAwaited { .. })
    };
    matches!(kind, Some(FailureKind::Mount(error)) if awaited(error))
}

impl Fleet {
    /// Hands contents and files to the controller's own node, to be kept.
    pub async fn keep(&self, contents: &[Assignment]) -> Result<()> {
        match contents {
            [] => Ok(()),
            _ => self.assign_to(&self.home, None, contents).await,
        }
    }

    /// Hands nodes what they need and have not been handed yet, as far as there is a turn at them.
    pub async fn provide(&self, turns: &Turns, needs: &BTreeMap<NodeName, Needs>) -> Result<()> {
        let members = self.members();
        let to = needs.iter().filter_map(|(name, needs)| {
            Some(self.provide_to(members.get(name)?, turns.0.get(name)?, needs))
        });
        join_all(to).await.into_iter().collect()
    }

    /// One at a time: a node is never sent more at once than the largest of them.
    async fn provide_to(&self, node: &Arc<Member>, turn: &Turn, needs: &Needs) -> Result<()> {
        node.lost(&needs.awaited);
        for digest in node.lacks(&needs.named) {
            let members = self.members();
            let Some(home) = members.get(&self.home) else { return Ok(()) };
            // What the controller does not have, either, the task says that it waits for.
            let Some(content) = home.engine.handed(&digest).await? else { continue };
            node.engine.assign_under(turn.lease(), &[content]).await?;
            node.has(digest);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operate::samples::task;
    use keel_engine::{Content, Depth, FileMount, Sweep, TaskAssignment, TaskSpec};
    use keel_testing::fake::Fake;

    const SECRET: &[u8] = b"correct horse";

    fn wish(node: &str, goal: Goal) -> Wish {
        let (name, digest) = ("key".to_owned(), Content::of(SECRET).digest);
        let target = "/run/secrets/key".to_owned();
        let secret = FileMount { name, digest, target, uid: 0, gid: 0, mode: None };
        let seen = task("web", "1", 'a', 1);
        let spec = TaskSpec { secrets: vec![secret], ..TaskSpec::clone(&seen.spec) };
        let told = TaskAssignment::again(&ObservedTask { spec: spec.into(), ..seen }, goal, 1);
        Wish { node: node.into(), what: Assignment::Task(Box::new(told)) }
    }

    #[tokio::test]
    async fn a_node_is_handed_what_its_tasks_name_once_and_again_where_it_is_new() {
        let (home, far) = (Arc::new(Fake::new("home")), Arc::new(Fake::new("far")));
        let fleet = Fleet::of("home".into(), home.clone());
        fleet.join("far".into(), far.clone());
        fleet.join("other".into(), Arc::new(Fake::new("other")));
        fleet.keep(&[Assignment::Content(Content::of(SECRET))]).await.unwrap();
        let stack = StackName::new("hello").unwrap();
        let seen = fleet.observe(Depth::State).await.unwrap();
        let turns = fleet.turn_everywhere().await.unwrap();
        let digest = Content::of(SECRET).digest;

        let none = needs(&stack, &seen, &[wish("far", Goal::Stopped)]);
        fleet.provide(&turns, &none).await.unwrap();
        assert_eq!(far.content(&digest), None, "what does not run needs nothing");
        let wanted = needs(&stack, &seen, &[wish("far", Goal::Running)]);
        assert_eq!(wanted.keys().collect::<Vec<_>>(), [&NodeName::new("far")]);
        fleet.provide(&turns, &wanted).await.unwrap();
        assert_eq!(far.content(&digest).as_deref(), Some(SECRET));

        let fresh = Arc::new(Fake::new("far"));
        fleet.join("far".into(), fresh.clone());
        let turns = fleet.turn_everywhere().await.unwrap();
        fleet.provide(&turns, &wanted).await.unwrap();
        assert_eq!(fresh.content(&digest).as_deref(), Some(SECRET), "another connection");
        let sweep = Sweep { contents_before: u64::MAX, ..Default::default() };
        let sweeps = [("far".into(), sweep)].into();
        fleet.sweep(Some(&turns), &sweeps).await.unwrap();
        assert_eq!(fresh.content(&digest), None);
        fleet.provide(&turns, &wanted).await.unwrap();
        assert_eq!(fresh.content(&digest).as_deref(), Some(SECRET), "after a sweep");
    }
}
