//! What the routes answer from, and what they answer.

use crate::pool::Pool;
use crate::refusal::Refused;
use crate::shapes::Info;
use axum::Json;
use keel_reconciler::Controller;
use std::sync::Arc;

/// What the routes answer from.
#[derive(Clone)]
pub struct Api {
    /// Who does it.
    pub controller: Controller,
    /// Who answers.
    pub info: Info,
    /// The pool of nodes; `None` where there is none.
    pub pool: Option<Arc<dyn Pool>>,
}

/// What they answer.
pub(super) type Answer<T> = Result<Json<T>, Refused>;
