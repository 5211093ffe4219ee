//! The life of a task: its records, what is to be done next ([`step`]), and each step's work.

pub(crate) mod adopt;
pub(crate) mod answering;
pub(crate) mod async_records;
pub(crate) mod drivers;
pub(crate) mod health_plan;
pub(crate) mod mount_sources;
pub(crate) mod namespaces;
pub(crate) mod phase;
pub(crate) mod prepare;
pub(crate) mod processes;
pub(crate) mod queue;
pub(crate) mod records;
pub(crate) mod removal;
pub(crate) mod step;
pub(crate) mod step_error;
pub(crate) mod surroundings;
mod update;
pub(crate) mod wishes;
pub(crate) mod work;
