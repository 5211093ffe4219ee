//! Which ports of a node are taken.

use crate::condition::is_still;
use keel_engine::{ObservedTask, Phase, Port};

/// Whether a task keeps its ports from others: what only waits for something (for this very port, say)
/// reserves nothing against what runs.
pub(crate) fn holds_ports(task: &ObservedTask) -> bool {
    let waits = matches!(task.phase, Phase::Pending | Phase::Preparing) && task.attempts > 0;
    !is_still(task) && !waits
}

/// Whether two ports cannot be published on one node.
pub(crate) fn clash(a: &Port, b: &Port) -> bool {
    let any = |port: &Port| port.host_ip.is_none_or(|ip| ip.is_unspecified());
    a.published.is_some()
        && (a.published, a.protocol) == (b.published, b.protocol)
        && (any(a) || any(b) || a.host_ip == b.host_ip)
}
