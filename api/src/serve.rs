//! The router on the root's socket, or in the caller's own process.
//!
//! # Invariants
//! - The socket is 0660 and belongs to group `keel` where that exists, else to root's alone.
//! - A socket that somebody answers on is never taken away from them.

use crate::Client;
use crate::gate::{Gate, Patient, Place, Progress, Waiting, keeping};
use crate::in_process::InProcess;
use crate::limits;
use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::serve::Listener;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::convert::Infallible;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};

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
        if UnixStream::connect(path).await.is_ok() {
            return Err(ServeError::Taken(path.to_owned()));
        }
        let listen = |source| ServeError::Listen { path: path.to_owned(), source };
        let listener = bind(path, group).map_err(listen)?;
        Ok(Self::start(listener, router, Some(path.to_owned())))
    }

    /// In this process, for the client that comes with it.
    #[must_use]
    pub fn in_process(router: Router) -> (Self, Client) {
        let (dial, accept) = mpsc::channel(1);
        (Self::start(InProcess(accept), router, None), Client::in_process(dial))
    }

    fn start<L: Listener>(listener: L, router: Router, socket: Option<PathBuf>) -> Self {
        let (stop, stopped) = watch::channel(());
        let task = tokio::spawn(serve(listener, router, stopped));
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

/// Answers until `stopped` says so, by being dropped on the other side; then to the end of what is
/// under way.
async fn serve<L: Listener>(mut listener: L, router: Router, mut stopped: watch::Receiver<()>) {
    let gate = Arc::new(Gate::default());
    let (mut open, mut waiting) = (JoinSet::new(), Waiting::default());
    loop {
        let is_room = open.len() < limits::CONNECTIONS;
        let stream = tokio::select! {
            biased;
            Some(_) = open.join_next() => continue,
            _ = stopped.changed() => break,
            (stream, _) = listener.accept(), if is_room => stream,
        };
        let progress = Arc::new(Progress::default());
        let (router, gate) = (router.clone(), gate.clone());
        let serving = connection(stream, router, gate, progress.clone(), stopped.clone());
        waiting.add(progress, open.spawn(serving));
    }
    drop(listener);
    while open.join_next().await.is_some() {}
}

async fn connection<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    stream: S,
    router: Router,
    gate: Arc<Gate>,
    progress: Arc<Progress>,
    mut stopped: watch::Receiver<()>,
) {
    let (router, shared) = (TowerToHyperService::new(router), progress.clone());
    let answer = service_fn(move |request| {
        let (router, gate, progress) = (router.clone(), gate.clone(), shared.clone());
        async move { Ok::<_, Infallible>(answer(request, &router, &gate, &progress).await) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::HEADERS)
        .max_buf_size(limits::HEADERS_SIZE)
        .keep_alive(false)
        .serve_connection(TokioIo::new(Patient::new(stream, progress)), answer)
        .with_upgrades();
    let mut serving = std::pin::pin!(serving);
    // One that breaks off or takes too long is the other side's loss.
    tokio::select! {
        _ = &mut serving => {}
        _ = stopped.changed() => {
            serving.as_mut().graceful_shutdown();
            let _ = serving.await;
        }
    }
}

async fn answer(
    request: Request<Incoming>,
    router: &TowerToHyperService<Router>,
    gate: &Gate,
    progress: &Progress,
) -> Response {
    match gate.admit(request, progress).await {
        Err(refused) => refused.into_response(),
        Ok(request) => {
            let place = request.extensions().get::<Place>().cloned();
            let Ok(response) = router.call(request).await;
            keeping(place, response)
        }
    }
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
