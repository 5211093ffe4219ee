//! Work that waits for the disk, the kernel or a server, away from the threads of the async runtime.

/// Does it on a thread where waiting is allowed. A panic in it goes on in the caller; when the
/// runtime ends before the work has begun, there is nobody left to answer, so nothing is.
pub async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    start(work).await
}

/// The same, begun at once; what it ends with is to be awaited.
pub fn start<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Started<T> {
    Started(tokio::task::spawn_blocking(work))
}

/// Work that has begun.
#[derive(Debug)]
pub struct Started<T>(tokio::task::JoinHandle<T>);

impl<T> Future for Started<T> {
    type Output = T;

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<T> {
        use std::task::Poll;
        match std::pin::Pin::new(&mut self.0).poll(context) {
            Poll::Ready(Ok(done)) => Poll::Ready(done),
            Poll::Ready(Err(error)) if error.is_panic() => {
                std::panic::resume_unwind(error.into_panic())
            }
            Poll::Ready(Err(_)) | Poll::Pending => Poll::Pending,
        }
    }
}
