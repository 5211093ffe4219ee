//! Nodes that a task may not stay on.

use super::cluster::Host;
use crate::desired::DesiredService;
use crate::why::Refusal;

/// Why a task of the service has to leave a node, whatever else is there. Nothing is concluded from silence,
/// nor from what a node does not report.
pub(crate) fn leaves(host: &Host<'_>, service: &DesiredService) -> Option<Refusal> {
    host.known?;
    if host.is_drained() {
        return Some(Refusal::Drained);
    }
    let attributes = host.attributes();
    let mut constraints = service.placement.constraints.iter();
    let unmet = constraints.find(|constraint| constraint.holds(&attributes) == Some(false))?;
    Some(Refusal::Constraint { constraint: unmet.clone() })
}
