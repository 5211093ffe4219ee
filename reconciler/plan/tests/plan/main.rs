//! The planner, tried against a simulated node. Every plan that a test makes is checked.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod apart;
mod before_deploy;
mod drift;
mod even;
mod failing;
mod gate;
mod jobs;
mod losing;
mod machine;
mod members;
mod modes;
mod moving;
mod node;
mod nodes;
mod paced;
mod person;
mod pinned;
mod placeless;
mod random;
mod removal;
mod retention;
mod rollout;
mod scaled;
mod scheduling;
mod shuffled;
mod situations;
mod status;
mod storms;
mod strangers;
mod typed;
mod waiting;
mod world;
