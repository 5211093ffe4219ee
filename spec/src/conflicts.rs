//! What several stacks of one host cannot all have: a port, or the name of a container.

use std::collections::HashMap;

use crate::code::Code;
use crate::problem::Problem;
use crate::service::{Protocol, Service};
use crate::stack::Stack;
use crate::warnings::{Claim, claims};

/// Warns of what two of the stacks want: each warning with the index of the stack that it points
/// into, the later of the two. Stacks that allow it are left out.
pub fn conflicts(stacks: &[&Stack]) -> Vec<(usize, Problem)> {
    let found = ports(stacks).into_iter().chain(container_names(stacks));
    found.filter(|(index, problem)| !stacks[*index].allows(problem)).collect()
}

fn problem(service: &Service, path: &str, message: String, hint: &str) -> Problem {
    let mut problem = Problem::new(Code::StacksConflict, message).of(&service.name).hint(hint);
    problem.span = service.origins.nearest(path).cloned();
    problem
}

fn ports(stacks: &[&Stack]) -> Vec<(usize, Problem)> {
    let mut taken: HashMap<(u16, Protocol), Vec<(usize, Claim<'_>)>> = HashMap::new();
    let mut found = Vec::new();
    for (index, stack) in stacks.iter().enumerate() {
        for claim in claims(stack) {
            let owners = taken.entry((claim.port, claim.protocol)).or_default();
            let other = owners.iter().find(|(other, own)| *other != index && own.meets(&claim));
            if let Some((other, _)) = other {
                let (one, two) = (&stacks[*other].name, &stack.name);
                let message = format!(
                    "stacks `{one}` and `{two}` both publish port {}/{}",
                    claim.port, claim.protocol
                );
                let hint = "publish one of them on another port";
                let path = format!("ports[{}]", claim.index);
                found.push((index, problem(claim.service, &path, message, hint)));
            } else {
                owners.push((index, claim));
            }
        }
    }
    found
}

fn container_names(stacks: &[&Stack]) -> Vec<(usize, Problem)> {
    let mut owners: HashMap<&str, usize> = HashMap::new();
    let mut found = Vec::new();
    for (index, stack) in stacks.iter().enumerate() {
        for service in stack.services.values().filter(|service| service.enabled) {
            let Some(name) = service.container_name.as_deref() else { continue };
            let first = *owners.entry(name).or_insert(index);
            if first != index {
                let (one, two) = (&stacks[first].name, &stack.name);
                let message = format!("stacks `{one}` and `{two}` both name a container `{name}`");
                let hint = "leave out `container_name`";
                found.push((index, problem(service, "container_name", message, hint)));
            }
        }
    }
    found
}
