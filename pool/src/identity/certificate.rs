//! A certificate as it is stored and sent, and what ours say.
//!
//! # Invariants
//! - A node's certificate is good for a client only, the controller's for a server only: no node can pass for the
//!   controller. With what a standby shows to the controller that leads, nobody can pass for either.

use super::chain;
use super::life::Life;
use super::node_id::NodeId;
use super::pin::Pin;
use super::public_key::PublicKey;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use std::fmt;
use webpki::EndEntityCert;

/// What the controller's certificate is for, whatever address it was reached by.
pub const CONTROLLER_NAME: &str = "controller.keel.internal";

/// What the certificate of a controller that does not lead is for: to hand commands on to the one that does.
pub(super) const STANDBY_NAME: &str = "standby.keel.internal";

/// A certificate in DER; in records and messages as base 64.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Certificate(CertificateDer<'static>);

/// What a node may do in the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Runs tasks.
    Agent,
}

/// Whom a node's certificate is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The node.
    pub node: NodeId,
    /// What it may do.
    pub role: Role,
    /// Its key.
    pub key: PublicKey,
}

impl Role {
    /// As certificates and people write it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Agent => "agent",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        (word == Self::Agent.word()).then_some(Self::Agent)
    }
}

impl Subject {
    /// The name in the certificate that says both.
    #[must_use]
    pub fn name(node: &NodeId, role: Role) -> String {
        format!("{node}.{}.keel.internal", role.word())
    }

    /// Reads a node's certificate; `None` where it is none. Whether it is ours is for the caller to verify.
    #[must_use]
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let read = EndEntityCert::try_from(certificate).ok()?;
        let key = PublicKey::from_info(&read.subject_public_key_info()).ok()?;
        let name = read.valid_dns_names().next()?;
        let (node, role) = name.strip_suffix(".keel.internal")?.split_once('.')?;
        Some(Self { node: NodeId::parse(node)?, role: Role::parse(role)?, key })
    }
}

/// Whether a certificate is a standby's. Whether it is ours is for the caller to verify.
pub(super) fn is_standby(certificate: &CertificateDer<'_>) -> bool {
    let read = EndEntityCert::try_from(certificate);
    read.is_ok_and(|read| read.valid_dns_names().eq([STANDBY_NAME]))
}

impl Certificate {
    pub(super) fn new(der: CertificateDer<'static>) -> Self {
        Self(der)
    }

    /// The certificate in DER.
    #[must_use]
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.0
    }

    /// From when to when an authority's own certificate holds.
    #[must_use]
    pub fn life_of_root(&self) -> Option<Life> {
        chain::life_of_root(&self.0)
    }

    /// As other tools read it.
    #[must_use]
    pub fn to_pem(&self) -> String {
        let body = STANDARD.encode(&self.0);
        let lines = body.as_bytes().chunks(64).map(String::from_utf8_lossy);
        let lines: String = lines.map(|line| format!("{line}\n")).collect();
        format!("-----BEGIN CERTIFICATE-----\n{lines}-----END CERTIFICATE-----\n")
    }

    /// The pin of its key; `None` where it cannot be read.
    #[must_use]
    pub fn pin(&self) -> Option<Pin> {
        pin_of(&self.0)
    }
}

/// The pin of the key that a certificate is for.
pub(super) fn pin_of(certificate: &CertificateDer<'_>) -> Option<Pin> {
    let anchor = webpki::anchor_from_trusted_cert(certificate).ok()?;
    Some(Pin::of(&webpki::spki_for_anchor(&anchor)))
}

impl TryFrom<String> for Certificate {
    type Error = base64::DecodeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Ok(Self(STANDARD.decode(text)?.into()))
    }
}

impl From<Certificate> for String {
    fn from(certificate: Certificate) -> Self {
        STANDARD.encode(&certificate.0)
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Subject::of(&self.0) {
            Some(subject) => write!(f, "Certificate(of {}, {:?})", subject.node, subject.key),
            None => write!(f, "Certificate(of {:?})", self.pin()),
        }
    }
}
