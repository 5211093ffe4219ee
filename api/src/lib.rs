//! The HTTP API on the root's socket, and the client that every command uses.
//!
//! # Parts
//! - [`router`]: every route over a [`keel_reconciler::Controller`], versioned under `/v1`.
//! - [`Served`]: that router on a Unix socket, or in the caller's own process.
//! - [`Client`]: one method for each route; a command speaks it in both cases.
//!
//! # Invariants
//! - An error is always a [`Refusal`](keel_reconciler::ask::Refusal), whatever layer found it.
//! - What is under way comes as lines of JSON, one value each; what is opened (logs, exec, attach)
//!   leaves HTTP by `Upgrade` and speaks [`keel_engine::frames`].
//! - Nothing here decides: a route calls one method of the controller.

mod accepting;
mod answering;
pub mod client;
mod conversation;
mod gate;
mod in_process;
pub mod limits;
mod lines;
mod pages;
mod paths;
pub mod pool;
mod refusal;
mod relay;
mod routes;
pub mod schemas;
mod serve;
pub mod shapes;

pub use client::{Client, ClientError};
pub use routes::{Api, router};
pub use serve::{ServeError, Served};
