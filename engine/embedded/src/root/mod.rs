//! The folder that everything is in: where things lie, who may drive it, what it takes and what it has room for.

pub mod contents;
pub(crate) mod disk;
pub(crate) mod ended;
mod endpoint;
pub(crate) mod granted;
pub(crate) mod ground;
pub(crate) mod late;
pub mod layout;
pub(crate) mod lease;
pub mod limits;
pub(crate) mod lock;
pub(crate) mod places;
pub mod probe;
pub(crate) mod reap;
pub mod record;
pub(crate) mod trees;
