//! The line from a controller that does not lead to the one that does: what a person asks of the first is answered by
//! the other. What is said on it is no matter here.

use super::limits::Limits;
use super::line::{DialError, RELAY_ALPN, dial};
use crate::identity::controller_name;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// The line of a standby.
pub type Relaying = TlsStream<TcpStream>;

/// Connects a standby to the controller that leads.
pub async fn relay(
    leader: &str,
    config: &ClientConfig,
    limits: &Limits,
) -> Result<Relaying, DialError> {
    dial(leader, controller_name(), config, RELAY_ALPN, limits).await
}
