//! Health that is waited for, and that nobody may check.

use crate::code::Code;
use crate::problem::Problem;
use crate::service::{Condition, Service, Test};
use crate::stack::Stack;

pub(super) fn warn(service: &Service, stack: &Stack) -> Vec<Problem> {
    let waits = service.depends_on.iter().filter(|(name, dependency)| {
        let other = stack.services.get(*name).filter(|other| other.enabled);
        let written = |other: &Service| {
            other.health.as_ref().is_some_and(|health| health.test != Test::Inherit)
        };
        dependency.condition == Condition::Healthy && other.is_some_and(|other| !written(other))
    });
    let problem = |(name, _): (&String, _)| {
        let message = format!(
            "service `{}` waits for `{name}` to be healthy, and `{name}` has no health check here",
            service.name
        );
        let hint = "write a `healthcheck`, or allow this if the image has one";
        super::at::at(service, &format!("depends_on.{name}"), Code::UnknownHealth, message, hint)
    };
    waits.map(problem).collect()
}
