//! What a file that places its tasks on nodes may take for granted, and what ends at each node.

use crate::code::Code;
use crate::problem::{Problem, Problems};
use crate::service::{NetworkMode, Service};
use crate::stack::Stack;

/// Tells of each service that is placed by the file: others may be on another node.
pub(super) fn check(stack: &Stack, problems: &Problems) {
    for service in enabled(stack).filter(|service| is_placed(service)) {
        let others: Vec<_> = enabled(stack)
            .filter(|other| other.name != service.name && share_a_network(service, other))
            .map(|other| format!("`{}`", other.name))
            .collect();
        let mut told = Vec::new();
        if !others.is_empty() {
            told.push(format!(
                "finds only those tasks of {} that run on its node",
                others.join(", ")
            ));
        }
        if !service.ports.is_empty() {
            told.push("publishes its ports on the nodes that run it only".to_owned());
        }
        if told.is_empty() {
            continue;
        }
        let message = format!("service `{}` {}", service.name, told.join(", and "));
        let mut problem = Problem::new(Code::WithinNode, message).of(&service.name);
        let at = ["deploy.placement.constraints[0]", "deploy.mode", ""];
        problem.span = at.iter().find_map(|path| service.origins.get(path)).cloned();
        problems.add(problem);
    }
}

fn enabled(stack: &Stack) -> impl Iterator<Item = &Service> {
    stack.services.values().filter(|service| service.enabled)
}

/// Whether the file says on which nodes it runs.
fn is_placed(service: &Service) -> bool {
    let placement = &service.placement;
    service.deploy.mode.is_global()
        || !placement.constraints.is_empty()
        || !placement.spread.is_empty()
        || placement.max_per_node.is_some()
}

fn share_a_network(one: &Service, other: &Service) -> bool {
    let (NetworkMode::Networks(own), NetworkMode::Networks(others)) =
        (&one.networking.mode, &other.networking.mode)
    else {
        return false;
    };
    own.keys().any(|network| others.contains_key(network))
}
