//! A far node: how it proves who it is, the wire to it, and the agent that serves its engine.
//!
//! # Not here
//! Where tasks are placed, what a stack is, and where the controller keeps its records: callers hand in a
//! store and take out values.

mod asking;
mod clock;
pub mod epoch;
pub mod identity;
pub mod membership;
pub mod office;
mod reception;
mod request;
mod rotating;
pub mod transport;
mod wanted_issuer;

pub use asking::{AskError, ask_to_join, confirm, identity_failure, renew};
pub use reception::{Reception, Visit};
