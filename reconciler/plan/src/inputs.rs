//! All that a plan is made from.

use crate::desired::{Desired, Owner};
use crate::pool::Pool;
use crate::standing::Standing;
use keel_engine::{Nodes, StackName};

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
    /// What is known of every node, of all stacks.
    pub nodes: &'a Nodes,
    /// Which of them tasks are placed on.
    pub pool: &'a Pool,
    /// What a person asks for beyond that; in the first pass of their command only.
    pub asked: Asked,
    /// Milliseconds since the Unix epoch.
    pub now: u64,
}

/// What a person's command adds to one pass. What must outlive the pass is in the plan's
/// [`Plan::standing`](crate::verdict::Plan::standing), so that it is handed over once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// Replace every task (`--force-recreate`).
    pub recreate: bool,
    /// Look tags up anew: what they mean on this node, or in the registry under `always`.
    pub resolve: bool,
    /// Look all tags up in their registries (`--pull always`).
    pub pull: bool,
    /// Touch only these services and what they depend on; empty is all. To be given in every
    /// pass of the command.
    pub services: Vec<String>,
    /// Take the stack from its present owner.
    pub take_over: bool,
    /// Only what people asked of single tasks, and what follows from that: nothing else is moved.
    pub people_only: bool,
}
