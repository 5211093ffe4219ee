//! The only module with `unsafe`: kernel calls that no safe crate offers.
//! Typed values in, owned values or `io::Error` out. One call per function. No policy.
