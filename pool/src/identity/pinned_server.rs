//! The agent's side of a handshake: is this the pool that the token names, or that the node belongs to?
//!
//! # Invariants
//! - The server shows its authority's certificate, whose key has the pinned digest and signed the server's own. Any
//!   other authority in the chain, and it is refused: what comes along with the right one is not trusted, either.
//! - Dates are not looked at: a machine without a clock boots in 1970, and one whose clock is off by a year has to stay
//!   in its pool. What an old certificate of a controller is worth is decided by the authorities that nodes trust: they
//!   are replaced as a whole, and the key of a controller's certificate is never on a disk.

use super::certificate::{CONTROLLER_NAME, Certificate, pin_of};
use super::chain::{self, Usage};
use super::pin::Pin;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, ring, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};
use std::sync::Arc;
use webpki::EndEntityCert;

/// Why a server is not the one to join.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PinError {
    /// It shows no authority, so it is no controller.
    #[error(
        "this is not a controller of keel: it shows no certificate authority; check the address"
    )]
    NoAuthority,
    /// It is another pool's.
    #[error(
        "this token is not for this controller: its certificate authority is {found}, and the token names {expected}. \
         The authority was replaced since the token was made (`keel ca rotate`), or this is another pool's controller; \
         create a new token there with `keel token create`, or check the address"
    )]
    WrongPool {
        /// What the token names.
        expected: Pin,
        /// What was shown.
        found: Pin,
    },
    /// It shows the right authority, and another one.
    #[error(
        "this controller shows the token's certificate authority together with another one ({found}): somebody \
         may be trying to pass for it; nothing was sent"
    )]
    SecondAuthority {
        /// The other one.
        found: Pin,
    },
    /// It shows the right authority, which did not sign its certificate.
    #[error(
        "this server shows the token's certificate authority, but has no certificate of it ({0:?}): somebody may \
         be trying to pass for the controller; nothing was sent"
    )]
    NotSigned(CertificateError),
}

/// What a server is known by.
#[derive(Debug)]
enum KnownBy {
    /// The authority that a token names.
    Pin(Pin),
    /// The authorities that a node trusts.
    Bundle(Vec<CertificateDer<'static>>),
}

/// Accepts the controller of one pool.
#[derive(Debug)]
pub(super) struct PinnedServer {
    known_by: KnownBy,
    algorithms: WebPkiSupportedAlgorithms,
}

impl PinnedServer {
    /// Of the pool that a token names.
    pub fn new(pin: Pin) -> Self {
        Self::of(KnownBy::Pin(pin))
    }

    /// Of the pool of a node that trusts these authorities.
    pub fn of_bundle(bundle: &[Certificate]) -> Self {
        Self::of(KnownBy::Bundle(bundle.iter().map(|root| root.der().clone()).collect()))
    }

    fn of(known_by: KnownBy) -> Self {
        let algorithms = ring::default_provider().signature_verification_algorithms;
        Self { known_by, algorithms }
    }
}

/// Checks what a server shows: its own certificate, and its authority's.
fn check(own: &CertificateDer<'_>, shown: &[CertificateDer<'_>], pin: Pin) -> Result<(), PinError> {
    check_signed(own, &[], &pinned(shown, pin)?).map_err(PinError::NotSigned)
}

/// Checks that one of these keys signed a controller's certificate, or an authority that did.
fn check_signed(
    own: &CertificateDer<'_>,
    shown: &[CertificateDer<'_>],
    anchors: &[TrustAnchor<'_>],
) -> Result<(), CertificateError> {
    // The time is of no account: what the dates say is not asked.
    chain::verify(own, shown, anchors, Usage::Server, chain::time(0))?;
    let unnamed = CertificateError::NotValidForName;
    let read = EndEntityCert::try_from(own).map_err(|_| unnamed.clone())?;
    let name = ServerName::try_from(CONTROLLER_NAME).map_err(|_| unnamed.clone())?;
    read.verify_is_valid_for_subject_name(&name).map_err(|_| unnamed)
}

/// The authorities that are shown, where all of them have the pinned key.
pub(super) fn pinned<'a>(
    shown: &'a [CertificateDer<'a>],
    expected: Pin,
) -> Result<Vec<TrustAnchor<'a>>, PinError> {
    let pins: Option<Vec<_>> = shown.iter().map(pin_of).collect();
    let pins = pins.filter(|pins| !pins.is_empty()).ok_or(PinError::NoAuthority)?;
    let other = pins.iter().copied().find(|pin| *pin != expected);
    match other {
        Some(found) if pins.contains(&expected) => Err(PinError::SecondAuthority { found }),
        Some(found) => Err(PinError::WrongPool { expected, found }),
        None => chain::anchors(shown).map_err(PinError::NotSigned),
    }
}

impl ServerCertVerifier for PinnedServer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.known_by {
            KnownBy::Pin(pin) => check(end_entity, intermediates, *pin)
                .map_err(|error| CertificateError::Other(OtherError(Arc::new(error))))?,
            KnownBy::Bundle(roots) => {
                check_signed(end_entity, intermediates, &chain::anchors(roots)?)?
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("only TLS 1.3 is spoken here".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
