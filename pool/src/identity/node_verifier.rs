//! The controller's side of a handshake: who is it that connects?
//!
//! # Invariants
//! - A client without a certificate may do one thing: ask to join. One whose certificate is over, but whose key is
//!   still on record, may do one thing: renew.
//! - A certificate of ours that the record does not know is refused within the handshake.
//! - No session is resumed: that would go past the record.

use super::certificate::{Subject, is_standby};
use super::chain::{self, Dates, Usage};
use super::controller_key::ControllerKey;
use super::pool_authority::PresentAuthority;
use super::roster::Roster;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, ring, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::version::TLS13;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, ServerConfig,
    SignatureScheme,
};
use std::sync::Arc;

/// Who is at the other end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerIdentity {
    /// Nobody that we know: may ask to join.
    Stranger,
    /// A node of the pool.
    Node(Subject),
    /// A node of the pool whose certificate is over: may renew, and nothing else.
    Expired(Subject),
    /// Another controller of the pool, which does not lead: may hand on commands, and nothing else.
    Standby,
}

/// Why a certificate does not let its owner in.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NodeVerifierError {
    /// It is not of this pool's authority, or not a client's.
    #[error("the certificate is not one of this pool's nodes: {0:?}")]
    Foreign(CertificateError),
    /// The node was removed, or the key is not on record any more.
    #[error("node {} was removed from the pool; it has to join again", .0.node)]
    Removed(Subject),
}

/// Lets nodes in by the authority's signature and the record.
#[derive(Debug)]
pub struct NodeVerifier {
    authority: PresentAuthority,
    roster: Roster,
    algorithms: WebPkiSupportedAlgorithms,
}

impl NodeVerifier {
    /// The verifier of a pool.
    #[must_use]
    pub fn new(authority: PresentAuthority, roster: Roster) -> Self {
        let algorithms = ring::default_provider().signature_verification_algorithms;
        Self { authority, roster, algorithms }
    }

    /// What the controller listens with. ALPN is the transport's to add.
    pub fn server_config(self: &Arc<Self>, own: Arc<ControllerKey>) -> Result<ServerConfig, Error> {
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider);
        let builder = builder.with_protocol_versions(&[&TLS13])?;
        let mut config = builder.with_client_cert_verifier(self.clone()).with_cert_resolver(own);
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }

    /// Who has shown these certificates in a handshake, and may do what now.
    pub fn identify(
        &self,
        shown: Option<&[CertificateDer<'_>]>,
        now: u64,
    ) -> Result<PeerIdentity, NodeVerifierError> {
        match shown.and_then(<[_]>::first) {
            None => Ok(PeerIdentity::Stranger),
            Some(own) => self.identify_node(own, chain::time(now / 1000)),
        }
    }

    fn identify_node(
        &self,
        own: &CertificateDer<'_>,
        now: UnixTime,
    ) -> Result<PeerIdentity, NodeVerifierError> {
        let authority = self.authority.get();
        let roots = match is_standby(own) {
            // It reads the authority on record each time.
            true => vec![authority.signing().certificate().der().clone()],
            false => authority.roots_of_nodes(),
        };
        let anchors = chain::anchors(&roots).map_err(NodeVerifierError::Foreign)?;
        let dates = chain::verify(own, &[], &anchors, Usage::Client, now)
            .map_err(NodeVerifierError::Foreign)?;
        if is_standby(own) {
            // Its key is made at each of its starts, so that only its dates say when it is over.
            return match dates {
                Dates::Expired { .. } => Err(NodeVerifierError::Foreign(CertificateError::Expired)),
                Dates::Current | Dates::Early { .. } => Ok(PeerIdentity::Standby),
            };
        }
        let unnamed = NodeVerifierError::Foreign(CertificateError::NotValidForName);
        let subject = Subject::of(own).ok_or(unnamed)?;
        if !self.roster.knows(&subject) {
            return Err(NodeVerifierError::Removed(subject));
        }
        Ok(match dates {
            Dates::Expired { .. } => PeerIdentity::Expired(subject),
            // It begins later than now: our own clock was set back, and the record says that it is ours.
            Dates::Current | Dates::Early { .. } => PeerIdentity::Node(subject),
        })
    }
}

impl ClientCertVerifier for NodeVerifier {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // A node has one certificate; it need not be told which.
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match self.identify_node(end_entity, now) {
            Ok(_) => Ok(ClientCertVerified::assertion()),
            Err(NodeVerifierError::Removed(_)) => Err(CertificateError::Revoked.into()),
            Err(NodeVerifierError::Foreign(error)) => Err(error.into()),
        }
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
