//! Which node each slot is on. What is somewhere stays there as long as it may; what is new, or may not stay,
//! goes to the first in order of the nodes that nothing keeps it from.
//!
//! # Invariants
//! - No clock, chance or order of a map has a say: equal inputs give equal places.
//! - A live task in an allowed place is never moved by what another place would be worth; a node that joins
//!   gets the tasks of global services, and of others only what is new.
//! - What a node has given is counted before the next slot is placed.

mod board;
mod choice;
pub(crate) mod cluster;
mod crowded;
mod departures;
mod even;
pub(crate) mod failing;
mod filters;
mod leaving;
mod needs;
mod numbers;
mod placements;
mod ranking;
mod slots;
pub(crate) mod spot;

pub(crate) use placements::{Scheduled, schedule};
pub(crate) use spot::Spot;
