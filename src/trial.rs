//! A pool on one machine, to try it: nodes in network namespaces around a switch, below `ROOT/try`.
//!
//! # Invariants
//! - What shall be there is on record before any of it is made, and the record is the last thing that goes:
//!   whoever was killed half-way is followed by a command that goes on, or takes all of it away.
//! - One command at a time works on it (`turn`).
//! - The host keeps its firewall and its kernel settings: one link is all that it gets.

mod accident;
mod belongings;
mod blueprint;
mod caller;
mod daemon;
mod demo;
mod guide;
mod joining;
mod networks;
mod places;
mod raising;
mod ranges;
mod roominess;
mod taking_down;
mod turn;

pub use accident::{Accident, happen};
pub use blueprint::{Blueprint, MOST_NODES};
pub use caller::Caller;
pub use guide::guide;
pub use places::Trial;
pub use raising::{Raised, plan, raise};
pub use taking_down::take_down;
pub use turn::Turn;
