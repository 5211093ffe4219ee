//! How answers look: listings, JSON, problems with their excerpt, progress.

pub mod ago;
pub mod json;
pub mod outcome;
pub mod problem;
pub mod progress;
pub mod screen;
pub mod size;
pub mod table;
pub mod usage;

pub use screen::Screen;
pub use table::{Table, are_several};
