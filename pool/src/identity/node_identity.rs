//! What an agent knows of itself, and the file that it keeps that in.
//!
//! # Invariants
//! - A key is on the disk before anybody is asked to certify it: whoever is interrupted asks for the same again.
//! - A certificate is kept only if it is for the key, and signed by an authority that is trusted.

use super::certificate::{Certificate, Subject};
use super::chain::{self, Usage};
use super::dialing;
use super::join::JoinReply;
use super::keel_version::KeelVersion;
use super::life::Life;
use super::node_id::NodeId;
use super::pem_file::{self, Contents, KeyFileError};
use super::pin::Pin;
use super::pinned_server::{PinError, pinned};
use super::private_key::{KeyError, PrivateKey};
use super::renewal::{RenewReply, RenewRequest};
use rustls::{CertificateError, ClientConfig};
use std::path::{Path, PathBuf};

/// What an agent's file begins with.
const KIND: &str = "keel-node";

/// What an agent's file says.
#[derive(Debug)]
pub enum AgentFile {
    /// A key of which nothing was certified yet: the agent is to join.
    Key(PrivateKey),
    /// The agent is a node.
    Node(NodeIdentity),
}

/// A node as it knows itself.
#[derive(Debug)]
pub struct NodeIdentity {
    key: PrivateKey,
    certificate: Certificate,
    bundle: Vec<Certificate>,
    subject: Subject,
    life: Life,
}

/// Why an agent has no identity.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// Its file.
    #[error(transparent)]
    File(#[from] KeyFileError),
    /// Its key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The controller's reply holds another authority than the token's.
    #[error("the controller's reply: {0}")]
    Bundle(#[from] PinError),
    /// The certificate is not signed by an authority of the pool.
    #[error(
        "the node's certificate is not signed by the pool's authority ({0:?}); join again with a new token"
    )]
    NotSigned(CertificateError),
    /// The certificate is for somebody else.
    #[error("the node's certificate is not for this node's key or ID; join again with a new token")]
    NotOurs,
}

impl AgentFile {
    /// What this file says; a new key where there is no such file.
    pub fn open(path: &Path) -> Result<Self, IdentityError> {
        match pem_file::read(path, KIND)? {
            Some(Contents { key, certificates }) if certificates.is_empty() => Ok(Self::Key(key)),
            Some(Contents { key, certificates }) => {
                let mut certificates = certificates.into_iter();
                let own = certificates.next().ok_or(IdentityError::NotOurs)?;
                Ok(Self::Node(NodeIdentity::new(key, own, certificates.collect())?))
            }
            None => Ok(Self::Key(stored_key(path)?)),
        }
    }
}

/// A new key, which is on the disk.
fn stored_key(path: &Path) -> Result<PrivateKey, IdentityError> {
    let key = PrivateKey::generate()?;
    pem_file::write(path, KIND, &key, &[])?;
    Ok(key)
}

impl NodeIdentity {
    fn new(
        key: PrivateKey,
        certificate: Certificate,
        bundle: Vec<Certificate>,
    ) -> Result<Self, IdentityError> {
        let roots: Vec<_> = bundle.iter().map(|root| root.der().clone()).collect();
        let anchors = chain::anchors(&roots).map_err(IdentityError::NotSigned)?;
        let life = chain::life(certificate.der(), &anchors, Usage::Client);
        let life = life.map_err(IdentityError::NotSigned)?;
        let subject = Subject::of(certificate.der()).ok_or(IdentityError::NotOurs)?;
        if subject.key != key.public() {
            return Err(IdentityError::NotOurs);
        }
        Ok(Self { key, certificate, bundle, subject, life })
    }

    /// The identity that a controller gave to a machine that joined with a token of this pin.
    pub fn joined(key: PrivateKey, reply: JoinReply, pin: Pin) -> Result<Self, IdentityError> {
        let roots: Vec<_> = reply.bundle.iter().map(|root| root.der().clone()).collect();
        pinned(&roots, pin)?;
        let made = Self::new(key, reply.certificate, reply.bundle)?;
        if made.subject.node == reply.node { Ok(made) } else { Err(IdentityError::NotOurs) }
    }

    /// The identity that the next certificate gives. The reply came over a connection that the present one secured,
    /// so the authorities that it names are trusted from now on.
    pub fn renewed(&self, next: PrivateKey, reply: RenewReply) -> Result<Self, IdentityError> {
        let made = Self::new(next, reply.certificate, reply.bundle)?;
        if made.subject.node == self.subject.node { Ok(made) } else { Err(IdentityError::NotOurs) }
    }

    /// Keeps it in a file; a key that waited to be certified is not needed any more.
    pub fn store(&self, path: &Path) -> Result<(), IdentityError> {
        let own = std::iter::once(self.certificate.clone());
        let certificates: Vec<_> = own.chain(self.bundle.iter().cloned()).collect();
        pem_file::write(path, KIND, &self.key, &certificates)?;
        let waiting = next_path(path);
        match std::fs::remove_file(&waiting) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(pem_file::io_error("remove", &waiting)(error).into())
            }
            _ => Ok(()),
        }
    }

    /// The key for the next certificate: the one that was asked for before, if the answer got lost.
    pub fn next_key(path: &Path) -> Result<PrivateKey, IdentityError> {
        let waiting = next_path(path);
        match pem_file::read(&waiting, KIND)? {
            Some(contents) => Ok(contents.key),
            None => stored_key(&waiting),
        }
    }

    /// The request for the certificate of that key.
    pub fn renew_request(
        &self,
        next: &PrivateKey,
        version: KeelVersion,
    ) -> Result<RenewRequest, IdentityError> {
        Ok(RenewRequest::new(self.node(), next, version)?)
    }

    /// What the controller calls this node.
    #[must_use]
    pub fn node(&self) -> &NodeId {
        &self.subject.node
    }

    /// The authority that its certificate is of.
    #[must_use]
    pub fn issuer(&self) -> Option<Pin> {
        let own = self.certificate.der();
        self.bundle.iter().find(|root| chain::names(own, root.der())).and_then(Certificate::pin)
    }

    /// From when to when its certificate holds.
    #[must_use]
    pub fn life(&self) -> Life {
        self.life
    }

    /// Its public key.
    #[must_use]
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// What it dials its controller with. ALPN is the transport's to add.
    pub fn client_config(&self) -> Result<ClientConfig, rustls::Error> {
        dialing::as_client(&self.key, &self.certificate, &self.bundle)
    }
}

fn next_path(path: &Path) -> PathBuf {
    path.with_extension("next")
}
