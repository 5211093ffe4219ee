//! The life of a task: its records, what is to be done next ([`step`]), and each step's work.

mod adopt;
pub(crate) mod answering;
pub(crate) mod health;
pub(crate) mod mount_sources;
pub(crate) mod namespaces;
pub(crate) mod phase;
pub(crate) mod prepare;
pub(crate) mod records;
pub(crate) mod removal;
pub(crate) mod setback;
pub(crate) mod step;
pub(crate) mod unanswered;
mod update;
mod wishes;
pub(crate) mod work;
