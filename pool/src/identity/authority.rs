//! The pool's certificate authority: one key, which signs what nodes and the controller show each other.
//!
//! # Invariants
//! - The key is on record before anything is signed with it.
//! - A certificate's names are ours: of whoever asks for one, only the public key gets in.

use super::certificate::{CONTROLLER_NAME, Certificate, Role, STANDBY_NAME, Subject};
use super::chain;
use super::life::{BACKDATED, DAY, Life};
use super::node::NodeKey;
use super::node_id::NodeId;
use super::pem_file::{self, Contents, KeyFileError};
use super::pin::Pin;
use super::private_key::{KeyError, PrivateKey, error};
use super::public_key::PublicKey;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use std::path::Path;
use time::OffsetDateTime;

/// What the authority's file begins with.
const KIND: &str = "keel-authority";
/// How long the authority's own certificate holds: 20 years.
const ROOT: u64 = 20 * 365 * DAY;

/// The authority of one pool.
#[derive(Debug)]
pub struct Authority {
    key: PrivateKey,
    certificate: Certificate,
}

impl Authority {
    /// The authority that this text is; `shown` is what its place is called.
    pub fn decode(text: &[u8], shown: &Path) -> Result<Self, KeyFileError> {
        let Contents { key, certificates } = pem_file::decode(text, shown, KIND)?;
        let own = certificates.into_iter().find(|one| one.pin() == Some(key.public().pin()));
        let why = "there is no certificate of its key";
        let damaged = || KeyFileError::Damaged { path: shown.to_owned(), why: why.to_owned() };
        Ok(Self { certificate: own.ok_or_else(damaged)?, key })
    }

    /// The text that it is stored as: whoever has it is the authority.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        pem_file::encode(KIND, &self.key, std::slice::from_ref(&self.certificate)).into_bytes()
    }

    /// The authority with this key in PKCS #8, and this certificate of it.
    pub(super) fn of(key: &[u8], certificate: Certificate) -> Result<Self, String> {
        let key = PrivateKey::from_pkcs8(&key.into()).map_err(|error| error.to_string())?;
        match certificate.pin() == Some(key.public().pin()) {
            true => Ok(Self { key, certificate }),
            false => Err("its certificate is not of its key".to_owned()),
        }
    }

    /// The private key; whoever has it is the authority.
    pub(super) fn key_in_pkcs8(&self) -> Vec<u8> {
        self.key.pair().serialize_der()
    }

    /// A new authority, on no disk.
    pub fn create(now: u64) -> Result<Self, KeyError> {
        let key = PrivateKey::generate()?;
        let mut params = root_params(key.public().pin());
        set_life(&mut params, Life { issued: now, expires: now + ROOT });
        let certificate = params.self_signed(key.pair()).map_err(error("sign a certificate"))?;
        Ok(Self { certificate: Certificate::new(certificate.der().clone()), key })
    }

    /// What tokens name, so that a node recognizes the pool.
    #[must_use]
    pub fn pin(&self) -> Pin {
        self.key.public().pin()
    }

    /// What nodes trust.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Whether it certified a node's key, as the record says.
    pub(super) fn has_certified(&self, key: &NodeKey) -> bool {
        chain::names(key.certificate.der(), self.certificate.der())
    }

    /// A certificate for a node.
    pub fn certify_node(
        &self,
        node: &NodeId,
        role: Role,
        key: &PublicKey,
        life: Life,
    ) -> Result<Certificate, KeyError> {
        let mut params = end_params(Subject::name(node, role))?;
        params.distinguished_name.push(DnType::CommonName, node.as_str());
        params.distinguished_name.push(DnType::OrganizationalUnitName, role.word());
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params, key, life)
    }

    /// A certificate for the controller.
    pub fn certify_controller(&self, key: &PublicKey, life: Life) -> Result<Certificate, KeyError> {
        let mut params = end_params(CONTROLLER_NAME.to_owned())?;
        params.distinguished_name.push(DnType::CommonName, CONTROLLER_NAME);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(params, key, life)
    }

    /// A certificate for a controller that does not lead, with which it hands commands on to the one that does.
    pub fn certify_standby(&self, key: &PublicKey, life: Life) -> Result<Certificate, KeyError> {
        let mut params = end_params(STANDBY_NAME.to_owned())?;
        params.distinguished_name.push(DnType::CommonName, STANDBY_NAME);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params, key, life)
    }

    /// Vouches for another authority, before those who trust this one alone.
    pub(super) fn cross_certify(&self, other: &Self, now: u64) -> Result<Certificate, KeyError> {
        let mut params = root_params(other.pin());
        // A controller whose clock is set back shows certificates that begin before the other authority did.
        set_life(&mut params, Life { issued: BACKDATED, expires: now + ROOT });
        self.signed(&params, &other.key.public())
    }

    fn sign(
        &self,
        mut params: CertificateParams,
        key: &PublicKey,
        life: Life,
    ) -> Result<Certificate, KeyError> {
        set_life(&mut params, life);
        self.signed(&params, key)
    }

    fn signed(&self, params: &CertificateParams, key: &PublicKey) -> Result<Certificate, KeyError> {
        let root = root_params(self.pin());
        let issuer: Issuer<'_, &KeyPair> = Issuer::from_params(&root, self.key.pair());
        let signed = params.signed_by(key, &issuer).map_err(error("sign a certificate"))?;
        Ok(Certificate::new(signed.der().clone()))
    }
}

/// All but the dates of an authority's certificate. Its name has a part of its pin, so that two authorities of one
/// pool are never taken for each other.
fn root_params(pin: Pin) -> CertificateParams {
    let mut params = CertificateParams::default();
    let name = format!("keel pool {}", &pin.to_string()[..10]);
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

fn end_params(name: String) -> Result<CertificateParams, KeyError> {
    let mut params = CertificateParams::new([name]).map_err(error("name a certificate"))?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn set_life(params: &mut CertificateParams, life: Life) {
    params.not_before = date(life.issued.saturating_sub(BACKDATED));
    params.not_after = date(life.expires);
}

/// A date that a certificate can have: certificates end before the year 10000, clocks need not.
fn date(millis: u64) -> OffsetDateTime {
    let seconds = i64::try_from(millis / 1000).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::super::certificate::is_standby;
    use super::super::chain::{Dates, Usage};
    use super::*;

    const NOW: u64 = 1_800_000_000_000;

    fn node() -> NodeId {
        NodeId::new(*b"ten bytes!")
    }

    #[test]
    fn an_authority_stays_the_same() {
        let made = Authority::create(NOW).unwrap();
        let again = Authority::decode(&made.encode(), Path::new("FILE")).unwrap();
        assert_eq!((again.pin(), again.certificate()), (made.pin(), made.certificate()));
    }

    #[test]
    fn what_is_no_authority_is_named() {
        let error = |text: &str| {
            Authority::decode(text.as_bytes(), Path::new("FILE")).unwrap_err().to_string()
        };
        assert!(
            error("keel-authority 2\n").contains("`FILE` does not begin with `keel-authority 1`")
        );
        assert!(error("keel-authority 1\n").starts_with("`FILE` is damaged"));
        assert!(error("").contains("restore it from a backup"));
    }

    #[test]
    fn a_nodes_certificate_says_who_it_is_and_holds_seven_days() {
        let authority = Authority::create(NOW).unwrap();
        let key = PrivateKey::generate().unwrap().public();
        let life = Life::of_node(NOW);
        let made = authority.certify_node(&node(), Role::Agent, &key, life).unwrap();
        let subject = Subject::of(made.der()).unwrap();
        assert_eq!(subject, Subject { node: node(), role: Role::Agent, key });
        let roots = [authority.certificate().der().clone()];
        let anchors = chain::anchors(&roots).unwrap();
        assert_eq!(chain::life(made.der(), &anchors, Usage::Client), Ok(life));
        let at = |millis: u64| {
            chain::verify(made.der(), &[], &anchors, Usage::Client, chain::time(millis / 1000))
                .unwrap()
        };
        assert_eq!(at(NOW - BACKDATED + 1000), Dates::Current);
        assert!(matches!(at(NOW - BACKDATED - 1000), Dates::Early { .. }));
        assert_eq!(at(NOW + 7 * DAY - 1000), Dates::Current);
        assert!(matches!(at(NOW + 7 * DAY + 1000), Dates::Expired { .. }));
    }

    #[test]
    fn a_node_cannot_pass_for_the_controller_and_another_pools_is_nobody() {
        let (authority, other) = (Authority::create(NOW).unwrap(), Authority::create(NOW).unwrap());
        let key = PrivateKey::generate().unwrap().public();
        let life = Life::of_node(NOW);
        let node = authority.certify_node(&node(), Role::Agent, &key, life).unwrap();
        let server = authority.certify_controller(&key, life).unwrap();
        let holds = |certificate: &Certificate, by: &Authority, usage| {
            let roots = [by.certificate().der().clone()];
            let anchors = chain::anchors(&roots).unwrap();
            chain::verify(certificate.der(), &[], &anchors, usage, chain::time(NOW / 1000)).is_ok()
        };
        assert!(holds(&node, &authority, Usage::Client));
        assert!(!holds(&node, &authority, Usage::Server));
        assert!(holds(&server, &authority, Usage::Server));
        assert!(!holds(&server, &authority, Usage::Client));
        assert!(!holds(&node, &other, Usage::Client) && !holds(&server, &other, Usage::Server));
        let standby = authority.certify_standby(&key, life).unwrap();
        assert!(holds(&standby, &authority, Usage::Client) && is_standby(standby.der()));
        assert!(!holds(&standby, &authority, Usage::Server), "a standby serves no nodes");
        assert!(Subject::of(standby.der()).is_none() && !is_standby(node.der()));
        assert!(!is_standby(server.der()));
    }
}
