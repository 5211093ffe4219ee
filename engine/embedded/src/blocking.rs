//! Work that blocks: the kernel's and the disk's, away from the threads that serve.

use keel_engine::EngineError;

pub(crate) use keel_blocking::run;

/// A failure of the disk or kernel, in the contract's words.
pub(crate) fn failed(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> EngineError {
    let what = what.into();
    move |error| EngineError::failed(what, error)
}
