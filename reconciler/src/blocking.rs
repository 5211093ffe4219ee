//! Work that waits for the disk or a server, off the runtime's own threads.

/// Does it on a thread where waiting is allowed. A panic in it goes on in the caller; when the
/// runtime ends before the work has begun, there is nobody left to answer, so nothing is.
pub(crate) async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => std::future::pending().await,
    }
}
