//! What people ask: one file for each group of questions, each an `impl Controller`.

mod converge;
mod down;
pub(crate) mod drift;
mod history_rows;
mod images;
mod inspect;
mod networks;
mod oneoff;
mod plans;
mod previewing;
mod ps;
mod rebalance;
mod resolve;
mod rollback;
#[cfg(test)]
pub(crate) mod samples;
mod scale;
mod status;
mod status_news;
mod sync;
mod tasks;
mod trouble;
mod usage;
mod volumes;

pub(crate) use status::Scope;
pub use status_news::StatusNews;
