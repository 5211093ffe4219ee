//! Controller and agents over real TLS on the loopback device: what a controller sees of a far node, what the node
//! sees of it, and what strangers may.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod contract;
mod epochs;
mod hostile;
mod lab;
mod life;
mod questions;
mod sessions;
mod stranger;
mod uploads;
mod versions;
