//! The client: requests over a new connection each, to a socket or within the process.

mod ask;

use crate::conversation;
use crate::in_process::dial;
use crate::lines::{self, LineError};
use crate::paths;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderValue, UPGRADE};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use keel_engine::{Duplex, Open};
use keel_reconciler::ask::Refusal;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io;
use std::path::{Path, PathBuf};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::UnixStream;
use tokio::sync::mpsc;

/// The longest answer that is not lines.
const ANSWER: usize = 256 << 20;

/// Speaks the API. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    dial: Dial,
}

#[derive(Clone)]
enum Dial {
    Socket(PathBuf),
    InProcess(mpsc::Sender<DuplexStream>),
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The server refused, and says why.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Nobody is there.
    #[error("cannot reach keel at {at}")]
    Unreachable {
        /// The socket.
        at: String,
        /// The cause.
        source: io::Error,
    },
    /// It went away in the middle.
    #[error("the connection to keel broke")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The answer is not what was agreed: another version, or not keel.
    #[error("unexpected response from the controller")]
    Nonsense(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl ClientError {
    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Refused(refusal) => refusal.hint.as_deref(),
            Self::Nonsense(_) => Some("restart `keel serve`, so that both are of one version"),
            Self::Unreachable { .. } | Self::Broken(_) => None,
        }
    }
}

impl From<LineError> for ClientError {
    fn from(error: LineError) -> Self {
        match error {
            LineError::Broken(source) => Self::Broken(source.into()),
            LineError::Nonsense(source) => Self::Nonsense(source.into()),
            LineError::TooLong => Self::Nonsense(error.into()),
        }
    }
}

/// What a client answers.
pub type Result<T> = std::result::Result<T, ClientError>;
/// Values as they come; ends after the first error.
pub type Lines<T> = BoxStream<'static, Result<T>>;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Client {
    /// Of whoever answers on this socket.
    #[must_use]
    pub fn of_socket(path: &Path) -> Self {
        Self { dial: Dial::Socket(path.to_owned()) }
    }

    pub(crate) fn in_process(dial: mpsc::Sender<DuplexStream>) -> Self {
        Self { dial: Dial::InProcess(dial) }
    }

    /// Opens a conversation with a task.
    pub async fn open(&self, what: &Open) -> Result<Box<dyn Duplex>> {
        let mut request = request(Method::POST, paths::OPEN, Some(what))?;
        let headers = request.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static(paths::PROTOCOL));
        let response = self.send(request).await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(refused(response).await);
        }
        let upgraded = hyper::upgrade::on(response).await.map_err(broken)?;
        Ok(Box::new(conversation::over(TokioIo::new(upgraded))))
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        answer(self.send(request::<()>(Method::GET, path, None)?).await?).await
    }

    async fn ask<T: DeserializeOwned>(&self, path: &str, ask: &impl Serialize) -> Result<T> {
        answer(self.send(request(Method::POST, path, Some(ask))?).await?).await
    }

    async fn lines<T: DeserializeOwned + Send + 'static>(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Lines<T>> {
        let response = self.send(request).await?;
        if !response.status().is_success() {
            return Err(refused(response).await);
        }
        let values = lines::read(response.into_body());
        Ok(values.map(|value| value.map_err(ClientError::from)).boxed())
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>> {
        let stream = TokioIo::new(self.connect().await?);
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(stream).await.map_err(broken)?;
        tokio::spawn(async move {
            // Its error is also the request's or the body's.
            let _ = connection.with_upgrades().await;
        });
        sender.send_request(request).await.map_err(broken)
    }

    async fn connect(&self) -> Result<Box<dyn Stream>> {
        match &self.dial {
            Dial::Socket(path) => match UnixStream::connect(path).await {
                Ok(stream) => Ok(Box::new(stream)),
                Err(source) => {
                    Err(ClientError::Unreachable { at: path.display().to_string(), source })
                }
            },
            Dial::InProcess(to) => match dial(to).await {
                Ok(stream) => Ok(Box::new(stream)),
                Err(source) => {
                    Err(ClientError::Unreachable { at: "this process".to_owned(), source })
                }
            },
        }
    }
}

fn request<A: Serialize>(
    method: Method,
    path: &str,
    ask: Option<&A>,
) -> Result<Request<Full<Bytes>>> {
    let body = match ask {
        Some(ask) => {
            serde_json::to_vec(ask).map_err(|error| ClientError::Nonsense(error.into()))?
        }
        None => Vec::new(),
    };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, "keel")
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)));
    Ok(request.expect("paths are constants"))
}

async fn body(response: Response<Incoming>) -> Result<Bytes> {
    let collected = Limited::new(response.into_body(), ANSWER).collect().await;
    Ok(collected.map_err(ClientError::Broken)?.to_bytes())
}

async fn answer<T: DeserializeOwned>(response: Response<Incoming>) -> Result<T> {
    if !response.status().is_success() {
        return Err(refused(response).await);
    }
    let bytes = body(response).await?;
    serde_json::from_slice(&bytes).map_err(|error| ClientError::Nonsense(error.into()))
}

async fn refused(response: Response<Incoming>) -> ClientError {
    match body(response).await {
        Err(error) => error,
        Ok(bytes) => match serde_json::from_slice::<Refusal>(&bytes) {
            Ok(refusal) => ClientError::Refused(refusal),
            Err(error) => ClientError::Nonsense(error.into()),
        },
    }
}

fn broken(error: hyper::Error) -> ClientError {
    ClientError::Broken(error.into())
}
