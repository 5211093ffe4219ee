//! The router on the root's socket, or in the caller's own process.
//!
//! # Invariants
//! - The socket is 0660 and belongs to group `keel` where that exists, else to root's alone.
//! - A socket that somebody answers on is never taken away from them.

use crate::Client;
use crate::accepting::accept;
use crate::answering::connection;
use crate::gate::Gate;
use crate::in_process::InProcess;
use crate::relay::hand_on;
use axum::Router;
use axum::serve::Listener;
use keel_reconciler::ask::Refusal;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// A router being served. Dropping it ends it at once; [`Served::stop`] lets what is being
/// answered finish.
pub struct Served {
    stop: Option<watch::Sender<()>>,
    task: JoinHandle<()>,
    socket: Option<PathBuf>,
}

/// Why a socket cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// Somebody else is there.
    #[error("another keel answers on {}", .0.display())]
    Taken(PathBuf),
    /// The file system says no.
    #[error("cannot listen on {}", path.display())]
    Listen {
        /// Where.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

impl Served {
    /// On a Unix socket. `group` may use it too.
    pub async fn on_socket(
        router: Router,
        path: &Path,
        group: Option<u32>,
    ) -> Result<Self, ServeError> {
        let listener = listen(path, group).await?;
        Ok(Self::start(listener, router, Some(path.to_owned())))
    }

    /// In this process, for the client that comes with it.
    #[must_use]
    pub fn in_process(router: Router) -> (Self, Client) {
        let (dial, accept) = mpsc::channel(1);
        (Self::on_lines(router, accept), Client::in_process(dial))
    }

    /// On lines that somebody else has let in.
    #[must_use]
    pub fn on_lines<S>(router: Router, lines: mpsc::Receiver<S>) -> Self
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        Self::start(InProcess(lines), router, None)
    }

    /// On a Unix socket, as [`on_socket`](Self::on_socket), for somebody else: each connection goes on over the line
    /// that `dial` makes for it. Where it makes none, the answer to everything is why.
    pub async fn relaying<S, F>(
        dial: impl Fn() -> F + Send + Sync + 'static,
        path: &Path,
        group: Option<u32>,
    ) -> Result<Self, ServeError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
        F: Future<Output = Result<S, Refusal>> + Send + 'static,
    {
        let listener = listen(path, group).await?;
        let (stop, stopped) = watch::channel(());
        let task = tokio::spawn(accept(listener, stopped, move |asked, progress, stopped| {
            hand_on(asked, dial(), progress, stopped)
        }));
        Ok(Self { stop: Some(stop), task, socket: Some(path.to_owned()) })
    }

    fn start<L: Listener>(listener: L, router: Router, socket: Option<PathBuf>) -> Self {
        let (stop, stopped) = watch::channel(());
        let gate = Arc::new(Gate::default());
        let task = tokio::spawn(accept(listener, stopped, move |stream, progress, stopped| {
            connection(stream, router.clone(), gate.clone(), progress, stopped)
        }));
        Self { stop: Some(stop), task, socket }
    }

    /// Takes no more requests and waits until those under way are answered, at most `limit`.
    pub async fn stop(mut self, limit: std::time::Duration) {
        drop(self.stop.take());
        let _ = tokio::time::timeout(limit, &mut self.task).await;
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
        if let Some(path) = &self.socket {
            // Whoever comes next replaces a socket that was left behind.
            let _ = std::fs::remove_file(path);
        }
    }
}

async fn listen(path: &Path, group: Option<u32>) -> Result<UnixListener, ServeError> {
    if UnixStream::connect(path).await.is_ok() {
        return Err(ServeError::Taken(path.to_owned()));
    }
    bind(path, group).map_err(|source| ServeError::Listen { path: path.to_owned(), source })
}

/// Binds beside the path and renames into place, so that nobody can connect before the owner and
/// mode are right.
fn bind(path: &Path, group: Option<u32>) -> io::Result<UnixListener> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let fresh = path.with_extension(format!("{}", std::process::id()));
    let _ = std::fs::remove_file(&fresh);
    let listener = UnixListener::bind(&fresh)?;
    std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o660))?;
    if group.is_some() {
        std::os::unix::fs::chown(&fresh, None, group)?;
    }
    std::fs::rename(&fresh, path)?;
    Ok(listener)
}
