//! References, registries, credentials, blobs and unpacked layers: how an image gets from its
//! name to folders that overlayfs can mount.
//!
//! | part | does |
//! |---|---|
//! | [`platform`] | what of an image is for this machine |
//! | `manifest`, [`config`] | the documents of an image |
//! | [`registry`], [`credentials`] | asks registries, as whom |
//! | `pull` | resolve, fetch, check, name |
//! | `intake`, `pipe`, `inflate` | a layer's bytes through three threads |
//! | [`unpack`] | a layer's archive into a folder, and never out of it |
//! | `room` | how much of the disk stays free |
//! | `strict` | JSON that all readers understand alike |
//! | [`store`] | what a node has, on its disk |
//! | [`hello`] | the image that is built in |
//!
//! # Invariants
//! - Safe code only; kernel calls go through `rustix`.
//! - Neither the environment nor a home folder is read: paths and configuration come in.
//! - Only content whose digest and size are right ever gets a name in the store.

pub mod config;
pub mod credentials;
pub mod error;
mod free_space;
pub mod hello;
pub mod image;
mod inflate;
mod intake;
mod local;
mod manifest;
mod pipe;
pub mod platform;
pub mod progress;
mod pull;
pub mod registry;
pub mod store;
mod strict;
#[cfg(feature = "testing")]
pub mod testing;
pub mod unpack;

pub use config::{Healthcheck, ImageConfig};
pub use credentials::Credentials;
pub use error::{Error, Result};
pub use image::{Image, ImageSummary};
pub use keel_names::{Digest, Reference, ReferenceError};
pub use platform::Platform;
pub use progress::{LayerStep, Progress};
pub use registry::{Misled, Registries, RegistryConfig};
pub use store::{Removed, Store, Swept, Trash};
