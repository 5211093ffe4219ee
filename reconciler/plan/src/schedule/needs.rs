//! What one service needs of a node, and which nodes have it whatever else is placed.

use super::cluster::{Cluster, Host, Reserved};
use crate::desired::DesiredService;
use crate::why::Refusal;
use keel_engine::Availability;
use keel_engine::{FailureKind, NodeName, Nodes, PullPolicy, StackName};
use std::collections::{BTreeMap, BTreeSet};

/// One service, looked at once for all of its slots.
pub(crate) struct Needs<'a> {
    pub stack: &'a StackName,
    pub name: &'a str,
    pub service: &'a DesiredService,
    pub reserved: Reserved,
    /// For each node, what keeps all of the service's tasks from it.
    pub never: Vec<Vec<Refusal>>,
    /// Nodes that nothing does.
    pub eligible: Vec<usize>,
    /// Where its image is, if no registry gives it to other nodes.
    pub image: Option<BTreeSet<usize>>,
    /// For each level of its spread, the branch of each node.
    branches: Vec<Vec<usize>>,
    /// And its tasks in each branch, on nodes that may have more of them.
    in_branch: Vec<Vec<u32>>,
    /// How many of its tasks each node has.
    pub on: Vec<u32>,
    /// How often it failed on each node.
    pub failures: Vec<u32>,
}

impl<'a> Needs<'a> {
    pub fn look(
        cluster: &Cluster<'a>,
        nodes: &'a Nodes,
        stack: &'a StackName,
        (name, service): (&'a str, &'a DesiredService),
    ) -> Self {
        let image = where_its_image_is(nodes, cluster, service);
        let never = cluster.hosts.iter().enumerate().map(|(at, host)| {
            let mut never = of_node(host, service, &nodes.home);
            let elsewhere = image.as_ref().is_some_and(|image| !image.contains(&at));
            never.extend(
                elsewhere.then(|| Refusal::ImageElsewhere { image: service.spec.image.clone() }),
            );
            never
        });
        let never: Vec<Vec<Refusal>> = never.collect();
        let none = vec![0; cluster.hosts.len()];
        let branches = branches(cluster, &service.placement.spread);
        let eligible = never.iter().enumerate().filter(|(_, never)| never.is_empty());
        Self {
            stack,
            name,
            service,
            reserved: Reserved::of(&service.spec),
            eligible: eligible.map(|(at, _)| at).collect(),
            never,
            image,
            in_branch: branches.iter().map(|_| none.clone()).collect(),
            branches,
            on: none.clone(),
            failures: none,
        }
    }

    /// One of its tasks is, or will be, on a node.
    pub fn count(&mut self, at: usize) {
        self.on[at] += 1;
        if !self.never[at].is_empty() {
            return;
        }
        for (branches, counts) in self.branches.iter().zip(&mut self.in_branch) {
            counts[branches[at]] += 1;
        }
    }

    /// Whether a node would not take its tasks, were it empty. Of one that does not answer nobody knows.
    pub fn is_beyond(&self, host: &Host<'_>, at: usize) -> bool {
        let lasts = |why: &Refusal| {
            matches!(why, Refusal::Constraint { .. } | Refusal::PathElsewhere { .. })
        };
        let is_too_small = self.reserved.beyond(host.room) != Reserved::default();
        host.known.is_some() && (is_too_small || self.never[at].iter().any(lasts))
    }

    /// Its tasks in a node's branch, level by level.
    pub fn spread(&self, at: usize) -> impl Iterator<Item = u32> {
        let levels = self.branches.iter().zip(&self.in_branch);
        levels.map(move |(branches, counts)| counts[branches[at]])
    }
}

/// What keeps new tasks from a node, whatever else is there.
fn of_node(host: &Host<'_>, service: &DesiredService, home: &NodeName) -> Vec<Refusal> {
    let mut never = Vec::new();
    if host.known.is_none() {
        never.push(Refusal::Silent);
    }
    never.extend(host.is_returning.then_some(Refusal::Returning));
    match host.facts.availability {
        Availability::Active if host.facts.is_one_way => never.push(Refusal::OneWay),
        Availability::Active => {}
        Availability::Pause => never.push(Refusal::Paused),
        Availability::Drain => never.push(Refusal::Drained),
    }
    if let Some(path) = service.placement.home_path.as_ref().filter(|_| host.name != home) {
        never.push(Refusal::PathElsewhere { path: path.clone(), node: home.clone() });
    }
    // Of a silent node nothing else is known.
    if host.known.is_some() {
        let attributes = host.attributes();
        let unmet = service.placement.constraints.iter();
        let unmet = unmet.filter(|constraint| constraint.holds(&attributes) != Some(true));
        never
            .extend(unmet.map(|constraint| Refusal::Constraint { constraint: constraint.clone() }));
    }
    let image = host.known.and_then(|seen| seen.image(&service.spec.image));
    let failure = image.and_then(|image| image.failure.as_ref());
    if failure.is_some_and(|failure| failure.kind == FailureKind::NoPlatform) {
        never.push(Refusal::Platform { image: service.spec.image.clone() });
    }
    never
}

/// Where its image is, if no registry will give it to other nodes: it was built or loaded there.
fn where_its_image_is(
    nodes: &Nodes,
    cluster: &Cluster<'_>,
    service: &DesiredService,
) -> Option<BTreeSet<usize>> {
    let spec = &service.spec;
    let images = || nodes.all_images().filter(|(_, image)| image.reference == spec.image);
    let at_home = images().find(|(node, _)| **node == nodes.home).map(|(_, image)| image);
    let failure = at_home.and_then(|image| image.failure.as_ref());
    let lacks_platform = failure.is_some_and(|failure| failure.kind == FailureKind::NoPlatform);
    let refused = failure.is_some_and(|failure| !failure.kind.may_pass()) && !lacks_platform;
    if !(refused || spec.pull_policy == PullPolicy::Never) {
        return None;
    }
    let there = images().filter(|(_, image)| image.digest.is_some());
    let there: BTreeSet<_> = there.filter_map(|(node, _)| cluster.at(node)).collect();
    (!there.is_empty()).then_some(there)
}

/// Nodes are in one branch where all labels up to that level are the same; without one is a value, too.
fn branches(cluster: &Cluster<'_>, labels: &[String]) -> Vec<Vec<usize>> {
    let value =
        |host: &Host<'_>, label: &String| host.facts.labels.get(label).cloned().unwrap_or_default();
    let level = |depth: usize| {
        let mut known = BTreeMap::new();
        let path =
            |host: &Host<'_>| labels[..=depth].iter().map(|l| value(host, l)).collect::<Vec<_>>();
        let ids = cluster.hosts.iter().map(|host| {
            let next = known.len();
            *known.entry(path(host)).or_insert(next)
        });
        ids.collect()
    };
    (0..labels.len()).map(level).collect()
}
