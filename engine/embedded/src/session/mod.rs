//! What a person does with one task: its output, a command in it, its terminal, a signal.

pub(crate) mod conversation;
pub(crate) mod logs;
pub(crate) mod open;
pub(crate) mod waiting;
