//! Who may belong to a pool: tokens to join with, the pool's certificate authority, the nodes on record, and the
//! TLS configurations that hold connections to them.
//!
//! # Invariants
//! - A secret is sent only over a connection whose server proved the key that the token pins.
//! - A name in a request is a proposal: the controller gives the node's id, the token gives its role, and only the
//!   public key is taken.
//! - Whether a node belongs to the pool is what its record says, at each handshake and while a connection lives. A
//!   certificate alone proves nothing.
//! - No secret and no private key is in `Debug` output or an error.
