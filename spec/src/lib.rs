//! Compose text to a typed [`Stack`], every value with its [`Span`].
//!
//! # Invariants
//! - [`load()`] is pure: it reads through [`Files`] and takes its environment as data. It never
//!   reads the process's environment, the clock or a home directory, and it prints nothing.
//! - All problems of a stack are reported in one run, in the order of their positions.
//! - No input makes it panic, hang, or use memory out of proportion to its size.
//! - Nothing is silently left out: each key of the Compose specification has its standing in
//!   the key table, and what this version does not run is named in [`Service::held`].
//!
//! # Not here
//! Defaults that depend on the host or the image (lowering fills those in), resolving paths to
//! real files, reading images, deciding anything.

mod advice;
mod allow;
mod canonical;
mod checks;
mod code;
mod compose;
mod conflicts;
mod decode;
mod discover;
mod dotenv;
mod empty;
mod env_files;
mod environment;
mod extends;
pub mod extension;
pub mod files;
mod held;
mod host_path;
mod include;
pub mod init;
mod interpolate;
mod item;
mod judge;
pub mod keys;
mod load;
mod merge;
pub mod nearest;
pub mod permission;
pub mod problem;
pub mod project;
pub mod render;
mod resources;
mod scalar;
pub mod schema;
pub mod service;
mod shape;
mod source;
pub mod span;
pub mod stack;
mod unset;
mod warnings;
mod words;
mod yaml;

pub use code::Code;
pub use conflicts::conflicts;
pub use discover::NAMES as FILE_NAMES;
pub use extension::{Drift, Policy, Run};
pub use files::{Files, Folder, Kind, Memory};
pub use item::{Entry, Item, Node, Scalar};
pub use load::{Loaded, load};
pub use permission::{Permission, Permits};
pub use problem::{Problem, Severity};
pub use project::Project;
pub use render::{Document, Rendered, render};
pub use service::Service;
pub use span::{Link, Origins, Span, Texts, Via};
pub use stack::{Config, Content, Held, Network, Secret, Stack, Volume};
pub use yaml::document;
