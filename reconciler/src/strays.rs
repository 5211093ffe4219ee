//! Watches for tasks that nodes bring along and that no stack on record accounts for: tells of them, and stops them
//! after a while.
//!
//! # Invariants
//! - Nothing is stopped before every source has been read since the start: a restored controller does not know yet
//!   what its sources name.
//! - What a node says of stacks is of no consequence for any other node.

use crate::controller::Controller;
use crate::fleet::next_by;
use keel_engine::{Depth, NodeName, Nodes, StackName, TaskId, Wish};
use keel_plan::strays::{Stray, stops, strays};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Between two looks, while there is something to look at.
const LOOK: Duration = Duration::from_secs(5);
/// Between two looks where nothing happens: events may be lost.
const QUIET: Duration = Duration::from_secs(60);
/// A task may be unknown for so many times as long as a node may be silent: one minute, unless configured otherwise.
const GRACE: u32 = 4;

type Strays = BTreeMap<TaskId, Stray>;

/// Watches for as long as the controller serves.
pub(crate) async fn watch(controller: Controller) {
    let (begun, mut before) = (Instant::now(), Strays::new());
    let mut events = controller.fleet().events();
    loop {
        let looked = Instant::now();
        let mut again = QUIET;
        if let Some(down_after) = controller.fleet().down_after() {
            let over = begun.elapsed().checked_sub(down_after * GRACE);
            let found = controller.look_for_strays(&before, begun.elapsed(), over).await;
            // What cannot be looked at now, and what waits for its time, is looked at again without an event.
            if found.as_ref().is_none_or(|found| !found.is_empty()) {
                again = LOOK;
            }
            before = found.unwrap_or(before);
        }
        next_by(&mut events, looked + again).await;
        sleep_until(looked + LOOK).await;
    }
}

impl Controller {
    /// Looks once; tells the nodes to stop what has been unknown since `over`.
    async fn look_for_strays(
        &self,
        before: &Strays,
        now: Duration,
        over: Option<Duration>,
    ) -> Option<Strays> {
        let nodes = self.fleet().observe(Depth::State).await.ok()?;
        // Read after the look: what is started is on record before.
        let found =
            strays(&nodes, &self.stacks_on_record().await?, self.has_read_all().await, before, now);
        self.fleet().note_strays(found.clone());
        let wishes = stops(&nodes, &found, over);
        if !wishes.is_empty() {
            self.stop_strays(&nodes, &found, over, &wishes).await;
        }
        Some(found)
    }

    /// Whoever brings a stack back meanwhile is heard: what is known is asked again while nobody else drives the nodes.
    async fn stop_strays(
        &self,
        nodes: &Nodes,
        found: &Strays,
        over: Option<Duration>,
        wishes: &[Wish],
    ) -> Option<()> {
        let at: BTreeSet<NodeName> = wishes.iter().map(|wish| wish.node.clone()).collect();
        let turns = self.fleet().turn(&at).await.ok()?;
        let known = self.stacks_on_record().await?;
        let mut still = found.clone();
        still.retain(|_, stray| !known.contains(&stray.stack));
        // What a node refuses is tried again with the next look.
        self.fleet().assign_under(&turns, &stops(nodes, &still, over)).await.ok()
    }

    async fn stacks_on_record(&self) -> Option<BTreeSet<StackName>> {
        Some(self.records().stacks().await.ok()?.into_iter().collect())
    }

    /// Whether every source said since the start which stacks it has, all of them.
    async fn has_read_all(&self) -> bool {
        for (name, source) in self.configured().iter() {
            let record = self.records().source(name).await;
            let is_well = record.is_ok_and(|record| {
                record.trouble.is_none() && record.problems.is_empty() && record.held.is_none()
            });
            if source.fetched() == 0 || source.is_failing() || !is_well {
                return false;
            }
        }
        true
    }
}
