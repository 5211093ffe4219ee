//! What an agent dials with: before it belongs to a pool, and after.

use super::certificate::{CONTROLLER_NAME, Certificate};
use super::pin::Pin;
use super::pinned_server::{PinError, PinnedServer};
use super::private_key::PrivateKey;
use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::version::TLS13;
use rustls::{AlertDescription, CertificateError, ClientConfig, Error, OtherError};
use std::io;
use std::sync::Arc;

/// The name to connect under, whatever the address is.
#[must_use]
pub fn controller_name() -> ServerName<'static> {
    ServerName::try_from(CONTROLLER_NAME).expect("it is a name of letters and dots")
}

/// To join: accepts the pool that a token pins, and shows nothing. ALPN is the transport's to add.
pub fn to_join(pin: Pin) -> Result<ClientConfig, Error> {
    let verifier = Arc::new(PinnedServer::new(pin));
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    Ok(without_sessions(builder.with_no_client_auth()))
}

/// As a node or a standby: accepts the pool's authorities, and shows the certificate. ALPN is the transport's to add.
pub(super) fn as_client(
    key: &PrivateKey,
    own: &Certificate,
    bundle: &[Certificate],
) -> Result<ClientConfig, Error> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(PinnedServer::of_bundle(bundle)))
        .with_client_auth_cert(vec![own.der().clone()], key.for_tls())?;
    Ok(without_sessions(config))
}

/// Each handshake proves everything anew.
fn without_sessions(mut config: ClientConfig) -> ClientConfig {
    config.resumption = Resumption::disabled();
    config
}

/// Why a connection to the controller came to nothing, where it is a matter of identity. In TLS 1.3 the controller's
/// refusal may come with the first bytes that are read, after a handshake that looked well.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityFailure {
    /// At the first handshake.
    #[error(transparent)]
    Pin(#[from] PinError),
    /// The controller does not know the node any more.
    #[error("this node was removed from the pool; join again with a new token")]
    Removed,
    /// The controller does not take the node's certificate for one of its pool's.
    #[error(
        "the controller does not accept this node's certificate: it may be the controller of another pool"
    )]
    Refused,
    /// What answers is not the controller of the node's pool.
    #[error("what answers is not the controller of this node's pool ({0:?}); check the address")]
    Impostor(CertificateError),
}

impl IdentityFailure {
    /// What a failed connection says of identity; `None` where it failed for something else.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<Self> {
        match error.get_ref()?.downcast_ref::<Error>()? {
            Error::InvalidCertificate(error) => Some(Self::of_certificate(error)),
            Error::AlertReceived(alert) => Self::of_alert(*alert),
            _ => None,
        }
    }

    fn of_certificate(error: &CertificateError) -> Self {
        match error {
            CertificateError::Other(OtherError(cause)) => match cause.downcast_ref::<PinError>() {
                Some(pin) => Self::Pin(pin.clone()),
                None => Self::Impostor(error.clone()),
            },
            other => Self::Impostor(other.clone()),
        }
    }

    fn of_alert(alert: AlertDescription) -> Option<Self> {
        match alert {
            AlertDescription::CertificateRevoked => Some(Self::Removed),
            AlertDescription::UnknownCA
            | AlertDescription::DecryptError
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateUnknown => Some(Self::Refused),
            _ => None,
        }
    }
}
