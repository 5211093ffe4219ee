//! Messages to people's receivers, and commit statuses to forges.
//!
//! A kind of receiver is a file in `receiver/` and a row of [`RECEIVERS`]; a forge is a file in
//! `forge/` and a row of [`FORGES`]. Both are pure: from what is to be said to a [`Request`], and
//! from an [`Answer`] to a [`DeliveryResult`]. [`Http`] alone speaks to the network.
//!
//! # Invariants
//! - A request is one POST. It ends within a time of its own; redirects are not followed, since a
//!   token would go along; of an answer a few bytes are read.
//! - No error that this crate gives names a URL, a token or a secret: a URL may be the secret.
//!
//! # Not here
//! What is worth a message, when it is sent again, where it waits, and where secrets come from.

mod cut;
mod forge;
mod http;
pub mod limits;
mod message;
mod receiver;
mod request;
mod status;

pub use forge::{FORGES, Forge};
pub use http::Http;
pub use message::{Kind, Message};
pub use receiver::{RECEIVERS, Receiver, Target};
pub use request::{Answer, DeliveryResult, Request};
pub use status::{CommitStatus, StatusState};
