//! What broke other engines, tried against `keel` from outside: a hostile image, Compose file or
//! process inside of a container, through every door that starts a program.
//!
//! A test passes when the attempt was made (the prober's last line says so), it gained nothing, and
//! the witnesses on the host are as they were. `KEEL_RACES=1` gives races many rounds.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod bench;
mod doors;
mod witness;

mod capabilities;
mod cgroups;
mod devices;
mod entering;
mod exhaustion;
mod fuse;
mod neighbors;
mod network;
mod proc_and_masks;
mod syscalls;
mod sysctls;
mod targets;
mod terminal;
mod users;
mod visible;
