//! What does not reach across nodes: a name resolves to tasks on the same node, and a port is published where the
//! service's tasks run. Nothing is said where that makes no difference.

use crate::facts::Facts;
use crate::status::Note;
use keel_engine::{NodeName, Slot};
use std::collections::{BTreeMap, BTreeSet};

/// The nodes of each service.
type Places = BTreeMap<String, BTreeSet<NodeName>>;

/// A note for each network on which services miss each other, and for each service whose ports some nodes lack.
pub(crate) fn apart(facts: &Facts<'_>) -> Vec<Note> {
    if facts.inputs.nodes.reports.len() < 2 {
        return vec![];
    }
    let (networks, published) = places(facts);
    let split = networks.into_iter().filter(|(_, services)| is_split(services));
    let names = split.map(|(network, services)| Note::NamesApart { network, services });
    let everywhere = facts.inputs.nodes.reports.len();
    let partly = published.into_iter().filter(|(_, nodes)| nodes.len() < everywhere);
    let ports = partly.map(|(service, nodes)| Note::PortsApart { service, nodes });
    names.chain(ports).collect()
}

/// Where the services of each network run, and those that publish ports.
fn places(facts: &Facts<'_>) -> (BTreeMap<String, Places>, Places) {
    let (mut networks, mut published) = (BTreeMap::<String, Places>::new(), Places::new());
    for (slot, occupants) in &facts.slots {
        let (Some(want), Some(node)) = (&occupants.want, facts.place(slot)) else { continue };
        let Slot { service, .. } = slot;
        for attachment in &want.spec.networks {
            let services = networks.entry(attachment.network.clone()).or_default();
            services.entry(service.clone()).or_default().insert(node.clone());
        }
        if !want.spec.ports.is_empty() {
            published.entry(service.clone()).or_default().insert(node.clone());
        }
    }
    (networks, published)
}

/// Whether some node has one of the services and not another.
fn is_split(services: &Places) -> bool {
    let mut places = services.values();
    let first = places.next();
    places.any(|nodes| Some(nodes) != first)
}
