//! A forge's signed request becomes the name of a source to refresh.
//!
//! [`serve`] answers `POST /hooks/NAME`. Which forge may speak for a source, and with what secret,
//! is configuration ([`Hook`]); what each forge sends is a file in `forge/` and a row of [`FORGES`].
//!
//! # Invariants
//! - Nothing of a payload is believed, or even parsed: a delivery says "look", never what is there.
//! - The proof is checked over the raw bytes of the body, in constant time. The scheme is chosen by
//!   the configuration, never by what was sent: else the sender would choose the weakest.
//! - Whoever proves nothing learns nothing: an unknown name, a wrong signature and none at all get
//!   the same answer after the same work.
//! - A proven delivery is answered at once, and never refused for there being many.
//! - Sizes and times have limits, and nobody can keep others out by being slow.
//!
//! # Not here
//! What a source is, refreshing it, TLS (a proxy's), reading secrets from files.

mod deliveries;
mod forge;
mod mac;
mod server;

pub use forge::{FORGES, Forge};
pub use server::{Hook, Limits, Secret, Told, serve};
