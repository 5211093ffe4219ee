//! What the tests of several crates share. Only `dev-dependencies` name this crate, so that nothing of
//! it is ever in a build for users.
//!
//! [`waiting`]: for what happens elsewhere, with a deadline. [`fake`]: an engine of values. [`contract`]:
//! what every engine must do. [`loopback`]: an engine behind a stream of bytes. [`talk`]: an engine whose conversation is the test's.

pub mod contract;
pub mod fake;
pub mod loopback;
pub mod talk;
pub mod waiting;
