//! Sources, refreshes, passes and records: from what is in Git to what is assigned.
//!
//! [`Controller`] is the only way in. Whoever shows it to people (the API, the command line)
//! speaks the shapes of [`ask`] and [`rows`].
//!
//! # Invariants
//! - No call in a refresh or pass waits for a registry, a pull, a start or a stop.
//! - Every trigger is a hint on a queue; a lost one costs only delay.
//! - This crate prints nothing and reads neither the environment nor a home directory.

mod accept;
pub mod advice;
pub mod allowed;
pub mod ask;
mod cause;
pub mod clock;
pub mod config;
mod controller;
mod desk;
mod event_routing;
mod examined;
pub mod find;
pub mod fleet;
mod guard;
pub mod history;
pub mod inspected;
mod lfs;
pub mod limits;
pub mod load;
mod load_cache;
mod lookups;
mod loops;
pub mod notices;
mod observed_changes;
mod operate;
pub mod operation;
mod outcome;
mod owners;
mod pass;
mod places;
pub mod preview;
mod progress;
mod queue;
mod reading;
mod record;
mod refresh;
mod refresh_error;
mod refusal;
pub mod repos;
pub mod restored;
pub mod rows;
mod settings;
#[cfg(test)]
mod simulation;
mod source;
mod stack_change;
mod stack_files;
mod start;
pub mod store;
mod strays;
mod sweeper;
mod trace;
pub mod trigger;
mod verb;
pub mod work_tree;

pub use clock::Clock;
pub use controller::{Controller, Lines};
pub use fleet::Fleet;
pub use keel_durable::Late;
pub use operate::StatusNews;
pub use settings::Settings;
pub use source::shown_url;
