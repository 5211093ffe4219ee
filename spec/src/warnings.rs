//! What is legal and hurts. Warnings change nothing about the stack, and each can be allowed.

mod at;
mod claimed_ports;
mod image;
mod plain_secrets;
mod risky_mounts;
mod unknown_health;
mod unused;

use crate::item::Item;
use crate::source::Sources;
use crate::stack::Stack;

pub(crate) use claimed_ports::{Claim, claims};

/// Warns of what will hurt when the stack runs. `model` is the tree that it was decoded from.
pub(crate) fn warn(stack: &Stack, model: &Item, sources: &Sources<'_>) {
    let texts = sources.texts.borrow();
    let mut found = Vec::new();
    for service in stack.services.values().filter(|service| service.enabled) {
        found.extend(image::warn(service));
        found.extend(plain_secrets::warn(service, &texts));
        found.extend(claimed_ports::open_databases(service));
        found.extend(risky_mounts::warn(service, sources.files));
        found.extend(unknown_health::warn(service, stack));
    }
    found.extend(claimed_ports::of_two_services(stack));
    found.extend(unused::warn(stack, model));
    sources.problems.extend(found);
}
