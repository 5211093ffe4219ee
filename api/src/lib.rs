//! The HTTP API on the root's socket, and the client that every command uses.
