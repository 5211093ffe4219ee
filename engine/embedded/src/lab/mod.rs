//! Several nodes on one machine, for trying a pool and for tests: network namespaces around a switch.
//!
//! # Parts
//! - [`KeptNetns`]: a network namespace that needs no process to exist.
//! - [`cabling`]: the switch, and what is plugged into it.
//! - [`launch`]: a program on such a node, with a host name of its own.
//! - [`inhabitants`], [`end_node`] and [`clear_node`]: what runs on a node, and how all of it ends.
//!
//! # Invariants
//! - Everything is idempotent: whoever was killed half-way is followed by a call that goes on.
//! - What is ended is found by the node's root, never by a program's name.

pub mod cabling;
mod clearing;
mod inhabitants;
mod kept_netns;
mod launching;

pub use clearing::{clear_cgroup, clear_node, end_node, unmount_below};
pub use inhabitants::{Inhabitant, end_all, inhabitants};
pub use kept_netns::KeptNetns;
pub use launching::{Place, launch};
