//! Decides what a pass will do. Only decides: the pass sends it.

pub mod desired;
pub mod standing;
pub mod verdict;
