//! Decides what one pass will do to a stack. Only decides: the pass sends it.
//!
//! # Invariants
//! - Everything here is pure: no clock, file, network or randomness. Time and facts are values.
//! - Every slot that is desired or observed gets exactly one [`verdict::Verdict`].
//! - A plan is never edited once returned. Did something change? The next pass makes another.
//! - Order is by name, so equal inputs print equal plans.

pub mod desired;
pub mod drift;
pub mod lower;
pub mod standing;
pub mod status;
pub mod text;
pub mod verdict;

use desired::{Desired, Owner};
use keel_engine::{Observation, StackName};
use standing::Standing;
use verdict::Plan;

/// All that a plan is made from.
#[derive(Debug, Clone)]
pub struct Inputs<'a> {
    /// The stack.
    pub stack: &'a StackName,
    /// What its revision asks for; `None`: nothing is known to be asked for.
    pub desired: Option<&'a Desired>,
    /// The owner on record, if the stack has one: another's desired state is held.
    pub owner: Option<&'a Owner>,
    /// What is remembered.
    pub standing: &'a Standing,
    /// What exists, of all stacks.
    pub observation: &'a Observation,
    /// What a person asks for beyond that; in the first pass of their command only.
    pub asked: Asked,
    /// Milliseconds since the Unix epoch.
    pub now: u64,
}

/// What a person's command adds to one pass. What must outlive the pass is in the plan's
/// [`Plan::standing`], so that it is handed over once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// Replace every task (`--force-recreate`).
    pub recreate: bool,
    /// Look tags up anew.
    pub resolve: bool,
    /// Touch only these services and what they depend on; empty is all. To be given in every
    /// pass of the command.
    pub services: Vec<String>,
    /// Take the stack from its present owner.
    pub take_over: bool,
}

/// Compares what the revision asks for with what the node reports.
pub fn plan(inputs: &Inputs<'_>) -> Plan {
    Plan {
        stack: inputs.stack.clone(),
        revision: inputs.desired.map(|desired| desired.revision.clone()).unwrap_or_default(),
        generation: inputs.standing.generation,
        entries: Vec::new(),
        standing: inputs.standing.clone(),
        learned: Vec::new(),
        wake: None,
    }
}
