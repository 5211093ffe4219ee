//! A warning in its place.

use crate::code::Code;
use crate::problem::Problem;
use crate::service::Service;

/// A warning about a field of a service.
pub(super) fn at(
    service: &Service,
    path: &str,
    code: Code,
    message: String,
    hint: &str,
) -> Problem {
    let mut problem = Problem::new(code, message).of(&service.name).hint(hint);
    problem.span = service.origins.nearest(path).or_else(|| service.origins.get("")).cloned();
    problem
}
