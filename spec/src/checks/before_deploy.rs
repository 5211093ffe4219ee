//! A service that is a job before each deploy runs to its end: what makes no sense for one is
//! refused, lest somebody waits for it.

use crate::code::Code;
use crate::extension::Run;
use crate::problem::{Problem, Problems};
use crate::service::{Mode, Restart, Service, Test};
use crate::stack::Stack;

/// Reports what a job cannot have.
pub(super) fn check(stack: &Stack, problems: &Problems) {
    let jobs = stack.services.values().filter(|service| service.enabled);
    for job in jobs.filter(|service| service.policy.run == Some(Run::BeforeDeploy)) {
        for (path, message, hint) in faults(job) {
            let message = format!("service `{}` is a job before each deploy: {message}", job.name);
            let mut problem = Problem::new(Code::Conflict, message).of(&job.name).hint(hint);
            problem.span = job.origins.nearest(path).or_else(|| job.origins.get("")).cloned();
            problems.add(problem);
        }
    }
}

/// Each with its field, and what to do.
fn faults(job: &Service) -> Vec<(&'static str, &'static str, &'static str)> {
    let checked = job.health.as_ref().is_some_and(|health| health.test != Test::Disabled);
    let again = matches!(job.restart, Restart::Always | Restart::UnlessStopped);
    let cases = [
        (
            job.deploy.replicas != 1,
            ("deploy.replicas", "it runs once, not in replicas", "remove the number"),
        ),
        (
            job.deploy.mode != Mode::Replicated,
            ("deploy.mode", "it runs once, whatever the nodes are", "remove `deploy.mode`"),
        ),
        (
            !job.ports.is_empty(),
            ("ports[0]", "it ends, so nobody could call its ports", "remove `ports`"),
        ),
        (
            checked,
            (
                "healthcheck",
                "its exit code alone says how it went",
                "remove `healthcheck`, or disable it",
            ),
        ),
        (again, ("restart", "it would be started again for ever", "write `no`, or `on-failure:3`")),
    ];
    cases.into_iter().filter(|(wrong, _)| *wrong).map(|(_, fault)| fault).collect()
}
