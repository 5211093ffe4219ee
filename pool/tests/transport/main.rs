//! Controller and agents over real TLS on the loopback device: what a controller sees of a far node, what the node
//! sees of it, and what strangers may.

mod contract;
mod hostile;
mod lab;
mod life;
mod questions;
mod sessions;
mod stranger;
mod uploads;
mod versions;
