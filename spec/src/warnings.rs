//! What is legal and hurts. Warnings change nothing about the stack, and each can be allowed.

mod at;
mod environment;
mod health;
mod image;
mod mounts;
mod ports;
mod unused;

use crate::item::Item;
use crate::source::Sources;
use crate::stack::Stack;

pub(crate) use ports::{Claim, claims};

/// Warns of what will hurt when the stack runs. `model` is the tree that it was decoded from.
pub(crate) fn warn(stack: &Stack, model: &Item, sources: &Sources<'_>) {
    let texts = sources.texts.borrow();
    let mut found = Vec::new();
    for service in stack.services.values().filter(|service| service.enabled) {
        found.extend(image::warn(service));
        found.extend(environment::warn(service, &texts));
        found.extend(ports::open_databases(service));
        found.extend(mounts::warn(service, sources.files));
        found.extend(health::warn(service, stack));
    }
    found.extend(ports::of_two_services(stack));
    found.extend(unused::warn(stack, model));
    sources.problems.extend(found);
}
