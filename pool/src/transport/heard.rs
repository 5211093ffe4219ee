//! When something was heard last: a line that remembers.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep_until};

/// When something was heard last. It is there from the moment on that a connection is.
#[derive(Debug, Clone)]
pub(super) struct LastHeard {
    begun: Instant,
    millis: Arc<AtomicU64>,
}

/// A line whose every read is noted. It stands inside of TLS, so that only the peer itself is heard.
#[derive(Debug)]
pub(super) struct Heard<L> {
    line: L,
    last: LastHeard,
}

impl LastHeard {
    fn note(&self) {
        let millis = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.millis.store(millis, Ordering::Relaxed);
    }

    fn last(&self) -> Instant {
        self.begun + Duration::from_millis(self.millis.load(Ordering::Relaxed))
    }

    /// Returns once so long nothing has been heard.
    pub(super) async fn silent_for(&self, silence: Duration) {
        loop {
            let over = self.last() + silence;
            if over <= Instant::now() {
                return;
            }
            sleep_until(over).await;
        }
    }
}

impl<L> Heard<L> {
    pub(super) fn new(line: L) -> (Self, LastHeard) {
        let last = LastHeard { begun: Instant::now(), millis: Arc::default() };
        (Self { line, last: last.clone() }, last)
    }
}

impl<L: AsyncRead + Unpin> AsyncRead for Heard<L> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.line).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.last.note();
        }
        read
    }
}

impl<L: AsyncWrite + Unpin> AsyncWrite for Heard<L> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.line).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.line).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.line).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.line.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.line).poll_write_vectored(cx, parts)
    }
}
