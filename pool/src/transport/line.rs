//! The line from a node to its controller: TCP, TLS, and what both have agreed to speak on it.

use super::body::BodyError;
use super::limits::Limits;
use super::serving::ServingError;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// HTTP/2, on which the node is the server.
pub(super) const ALPN: &[u8] = b"h2";

/// HTTP/2, on which the node asks one question.
pub(super) const QUESTION_ALPN: &[u8] = b"keel-question";

/// The API of the controller that leads, for commands that a standby hands on.
pub(super) const RELAY_ALPN: &[u8] = b"keel-relay";

/// Why there is no connection to a controller.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// No way to the controller.
    #[error("cannot reach the controller at {to}")]
    Connect {
        /// Where.
        to: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The sides do not trust each other.
    #[error("cannot establish a secure connection to the controller at {to}")]
    Tls {
        /// Where.
        to: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Somebody else listens there.
    #[error("{to} is not a keel controller: it does not speak HTTP/2")]
    NoController {
        /// Where.
        to: String,
    },
    /// It took too long.
    #[error("the controller at {to} did not answer within {limit:?}")]
    Late {
        /// Where.
        to: String,
        /// How long it may take.
        limit: Duration,
    },
    /// There was a connection, and it ended.
    #[error(transparent)]
    Serving(#[from] ServingError),
    /// A question was not answered.
    #[error("the controller at {to} did not answer the request")]
    Unanswered {
        /// Where.
        to: String,
        /// Why not.
        #[source]
        source: Option<BodyError>,
    },
}

/// Dials, and proves on both sides who they are.
pub(super) async fn dial(
    controller: &str,
    server_name: ServerName<'static>,
    config: &ClientConfig,
    alpn: &'static [u8],
    limits: &Limits,
) -> Result<TlsStream<TcpStream>, DialError> {
    let (to, limit) = (|| controller.to_owned(), limits.handshake);
    let late = |_| DialError::Late { to: to(), limit };
    let dialed = timeout(limit, TcpStream::connect(controller)).await.map_err(late)?;
    let tcp = dialed.map_err(|source| DialError::Connect { to: to(), source })?;
    // It only makes beats and keystrokes quicker.
    let _ = tcp.set_nodelay(true);
    let mut config = config.clone();
    config.alpn_protocols = vec![alpn.to_vec()];
    let shaken = TlsConnector::from(Arc::new(config)).connect(server_name, tcp);
    let shaken = timeout(limit, shaken).await.map_err(late)?;
    let line = shaken.map_err(|source| DialError::Tls { to: to(), source })?;
    match line.get_ref().1.alpn_protocol() == Some(alpn) {
        true => Ok(line),
        false => Err(DialError::NoController { to: to() }),
    }
}
