//! The planner, tried against a simulated node. Every plan that a test makes is checked.

mod drift;
mod jobs;
mod node;
mod random;
mod removal;
mod rollout;
mod situations;
mod status;
mod waiting;
mod world;
