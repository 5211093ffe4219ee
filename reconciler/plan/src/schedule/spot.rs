//! What became of a slot: the node that it is on, and whether it may be there.

use crate::why::{Hold, NodeRefusal, Refusal};
use keel_engine::NodeName;

/// A slot's place.
#[derive(Debug, Clone)]
pub(crate) struct Spot<'a> {
    /// The node that its next task is for; the controller's own where there is none.
    pub node: &'a NodeName,
    pub fit: Fit,
    /// Two of its tasks at a time are more than the node has room for.
    pub is_tight: bool,
    /// No node there is would take it, were it empty.
    pub is_hopeless: bool,
}

/// Whether a slot may be where it is.
#[derive(Debug, Clone)]
pub(crate) enum Fit {
    /// It may.
    Well,
    /// It may, now that it leaves another node.
    Moves(Option<Refusal>),
    /// No node takes it.
    Nowhere(Vec<NodeRefusal>),
    /// It should leave, and no other node takes it.
    Stuck(Refusal, Vec<NodeRefusal>),
}

impl<'a> Spot<'a> {
    pub fn new(node: &'a NodeName, fit: Fit) -> Self {
        Self { node, fit, is_tight: false, is_hopeless: false }
    }

    /// Whether no node takes it.
    pub fn is_nowhere(&self) -> bool {
        matches!(self.fit, Fit::Nowhere(_))
    }

    /// Whether it leaves another node.
    pub fn is_moving(&self) -> bool {
        matches!(self.fit, Fit::Moves(_))
    }

    /// Why it does.
    pub fn moved(&self) -> Option<&Refusal> {
        match &self.fit {
            Fit::Moves(because) => because.as_ref(),
            _ => None,
        }
    }

    /// Why no new task is made for it.
    pub fn hold(&self) -> Option<Hold> {
        match &self.fit {
            Fit::Nowhere(nodes) => Some(Hold::NoPlace { nodes: nodes.clone() }),
            Fit::Stuck(because, nodes) => {
                let (node, because) = (self.node.clone(), because.clone());
                Some(Hold::CannotMove { node, because, nodes: nodes.clone() })
            }
            Fit::Well | Fit::Moves(_) => None,
        }
    }

    /// The same of a task that is as it shall be: on a paused node it may well stay.
    pub fn hold_of_present(&self) -> Option<Hold> {
        match &self.fit {
            Fit::Stuck(Refusal::Paused | Refusal::Failing { .. } | Refusal::Uneven { .. }, _) => {
                None
            }
            _ => self.hold(),
        }
    }
}
