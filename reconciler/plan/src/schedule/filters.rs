//! What keeps one more task of a service from a node, as things stand.

use super::cluster::Host;
use super::needs::Needs;
use crate::why::Refusal;

/// Whether anything does, beyond what keeps all of its tasks from it.
pub(crate) fn is_full(needs: &Needs<'_>, host: &Host<'_>, at: usize) -> bool {
    let max = needs.service.placement.max_per_node;
    let lacks = host.lacks(needs.reserved);
    max.is_some_and(|max| needs.on[at] >= max)
        || lacks.memory > 0
        || lacks.cpus > 0
        || needs
            .service
            .spec
            .ports
            .iter()
            .any(|port| host.is_taken(port, (needs.stack, needs.name)))
}

/// All that does, in the order of the filters.
pub(crate) fn refusals(needs: &Needs<'_>, host: &Host<'_>, at: usize) -> Vec<Refusal> {
    let mut all = needs.never[at].clone();
    let taken = needs.service.spec.ports.iter();
    let taken = taken.filter(|port| host.is_taken(port, (needs.stack, needs.name)));
    all.extend(taken.map(|port| Refusal::Port { port: port.clone() }));
    let max = needs.service.placement.max_per_node.filter(|max| needs.on[at] >= *max);
    all.extend(max.map(|max| Refusal::MaxPerNode { max }));
    let lacks = host.lacks(needs.reserved);
    all.extend((lacks.cpus > 0).then_some(Refusal::Cpus { short: lacks.cpus }));
    all.extend((lacks.memory > 0).then_some(Refusal::Memory { short: lacks.memory }));
    all
}
