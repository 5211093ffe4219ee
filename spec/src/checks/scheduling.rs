//! What contradicts itself in where, how often and with what a service's tasks run.

use crate::code::Code;
use crate::problem::{Problem, Problems};
use crate::service::{NetworkMode, Service};
use crate::stack::Stack;

/// A fault: the field that it is told at, what is wrong, and what to do.
type Fault = (&'static str, String, &'static str);

/// Reports what no scheduler could obey.
pub(super) fn check(stack: &Stack, problems: &Problems) {
    for service in stack.services.values().filter(|service| service.enabled) {
        let faults = [
            replicas(service),
            one_name(service),
            memory(service),
            cpus(service),
            one_namespace(stack, service),
        ];
        for (path, message, hint) in faults.into_iter().flatten() {
            let mut problem = Problem::new(Code::Conflict, message).of(&service.name).hint(hint);
            problem.span =
                service.origins.nearest(path).or_else(|| service.origins.get("")).cloned();
            problems.add(problem);
        }
    }
}

/// How many there are of a global service is the number of nodes.
fn replicas(service: &Service) -> Option<Fault> {
    let (name, mode) = (&service.name, service.deploy.mode);
    let written = mode.is_global() && service.origins.get("deploy.replicas").is_some();
    let message = format!("service `{name}` has `replicas`, and its mode is `{}`", mode.word());
    written.then_some(("deploy.replicas", message, "remove the number: every node runs one task"))
}

fn one_name(service: &Service) -> Option<Fault> {
    let name = &service.name;
    let several = service.deploy.mode.is_global() && service.container_name.is_some();
    let message = format!("`container_name` is one name, and service `{name}` runs on every node");
    several.then_some(("container_name", message, "remove `container_name`"))
}

fn memory(service: &Service) -> Option<Fault> {
    let (kept, limit) = (service.placement.reserved_memory?, service.limits.memory?);
    let message = format!(
        "service `{}` reserves {kept} bytes of memory, and is limited to {limit}",
        service.name
    );
    (kept > limit).then_some(("reserved_memory", message, "reserve no more than the limit"))
}

fn cpus(service: &Service) -> Option<Fault> {
    let (kept, limit) = (service.placement.reserved_cpus?, service.limits.cpus?);
    let message = format!("service `{}` reserves more CPU time than its limit", service.name);
    (kept.0 > limit.0).then_some(("reserved_cpus", message, "reserve no more than the limit"))
}

/// Of a service on every node nobody can say which task's namespace is meant.
fn one_namespace(stack: &Stack, service: &Service) -> Option<Fault> {
    let NetworkMode::Service(other) = &service.networking.mode else { return None };
    let global = |service: &Service| service.deploy.mode.is_global();
    let either = global(service) || stack.services.get(other).is_some_and(global);
    let message = format!(
        "service `{}` shares the network of `{other}`, and one of them runs on every node",
        service.name
    );
    either.then_some((
        "network_mode",
        message,
        "remove `network_mode`, or run both as `replicated`",
    ))
}
