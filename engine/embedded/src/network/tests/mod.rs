//! On the real kernel: networks and published ports, with a real `keel net`.

mod published;
mod shape;
pub(crate) mod world;
