//! Work that blocks: the kernel's and the disk's, away from the threads that serve.

use keel_engine::EngineError;

/// Runs it on a thread of its own kind; a panic in it is handed on.
pub(crate) async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Cancelled before it began: the runtime is going down, and nobody waits any more.
            Err(_) => std::future::pending().await,
        },
    }
}

/// A failure of the disk or kernel, in the contract's words.
pub(crate) fn failed(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> EngineError {
    let what = what.into();
    move |error| EngineError::failed(what, error)
}
