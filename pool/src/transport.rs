//! The wire to a far node: HTTP/2 over one TLS connection, which the agent dials and on which it is the server.
//!
//! The controller listens ([`Listener`]) and has a [`Far`] for each node: an [`Engine`](keel_engine::Engine) like
//! any other, whose calls are requests. The agent ([`Agent`]) dials, serves its own engine, and dials again. Who is not
//! connected yet may ask one question ([`ask`]). A controller that does not lead hands on what it is asked ([`relay`]).
//!
//! # Invariants
//! - Both sides say their versions before anything else, and neither does anything for a peer whose versions it
//!   does not share.
//! - A node follows the highest epoch of the pool that it has seen, and does nothing for a controller with a lower one.
//! - Nobody waits for a node that is not connected: a call fails at once, and says since when.
//! - Either side gives a connection up on which it has heard nothing for [`Limits::silence`].
//! - Whatever a peer can send has a limit, and whatever it can delay has a deadline. Whoever does not read stops
//!   whoever writes to it, and nobody else.
//! - What a connection holds ends with it: leases, sessions, calls. Tasks are untouched.
//! - Releases of leases arrive in their order among calls.

mod agent;
mod allegiance;
mod away;
mod beat;
mod body;
mod connection;
mod delay;
mod far;
mod heard;
mod limits;
mod line;
mod listener;
mod parcel;
mod question;
mod relay;
mod route;
mod serving;
mod session;
mod spool;
mod switchboard;
mod unpacking;
mod version;

pub use agent::{Agent, AgentState};
pub use allegiance::{Allegiance, Superseded};
pub use away::Away;
pub use beat::{Pulse, SilentPeer};
pub use body::BodyError;
pub(crate) use delay::random;
pub use delay::{beat_delay, retry_delay, tries_after};
pub use far::Far;
pub use limits::Limits;
pub use line::DialError;
pub use listener::{Admitted, Gate, Listener, Peer, Relayed, Turned};
pub use question::ask;
pub use relay::{Relaying, relay};
pub use serving::ServingError;
pub use switchboard::Switchboard;
pub use version::{Hello, VersionMismatch, Versions, agree};
