//! What the routes answer from, and what they answer.

use crate::refusal::Refused;
use crate::shapes::Info;
use axum::Json;
use keel_reconciler::Controller;

/// What the routes answer from.
#[derive(Clone)]
pub struct Api {
    /// Who does it.
    pub controller: Controller,
    /// Who answers.
    pub info: Info,
}

/// What they answer.
pub(super) type Answer<T> = Result<Json<T>, Refused>;
