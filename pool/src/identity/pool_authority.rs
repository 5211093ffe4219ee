//! The authorities that a pool trusts at a time: the one that certifies, and while it is being replaced the root
//! before it. Each step is a pure function of the one before.
//!
//! # Invariants
//! - From the moment that a rotation begins, everything is certified by the new authority. The former one's key is gone
//!   then: what it still had to sign is the new root, for those who trust the former alone.
//! - The former root counts for certificates of nodes only, until it is dropped; never for a standby's.

use super::authority::Authority;
use super::certificate::Certificate;
use super::pin::Pin;
use super::private_key::KeyError;
use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tokio::sync::watch;

/// The authorities of one pool.
#[derive(Debug, Clone)]
pub struct PoolAuthority {
    signing: Arc<Authority>,
    rotation: Option<Rotation>,
    /// Those that were replaced, the latest last: other records of this pool are known by them.
    dropped: Vec<Pin>,
}

/// The replacement of an authority, while nodes still have certificates of the one before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotation {
    /// The root before.
    pub former: Certificate,
    /// The new root's key, certified by the former authority.
    pub(super) cross: Certificate,
    /// When it began.
    pub begun: u64,
}

impl From<Authority> for PoolAuthority {
    fn from(authority: Authority) -> Self {
        Self { signing: Arc::new(authority), rotation: None, dropped: vec![] }
    }
}

impl PoolAuthority {
    pub(super) fn new(signing: Authority, rotation: Option<Rotation>, dropped: Vec<Pin>) -> Self {
        Self { signing: Arc::new(signing), rotation, dropped }
    }

    /// What certifies now.
    #[must_use]
    pub fn signing(&self) -> &Arc<Authority> {
        &self.signing
    }

    /// What tokens name.
    #[must_use]
    pub fn pin(&self) -> Pin {
        self.signing.pin()
    }

    /// The replacement that is under way.
    #[must_use]
    pub fn rotation(&self) -> Option<&Rotation> {
        self.rotation.as_ref()
    }

    pub(super) fn dropped(&self) -> &[Pin] {
        &self.dropped
    }

    /// A new authority takes this one's place. `None`: it has just taken another one's, which is not dropped yet.
    pub fn rotated(&self, now: u64) -> Result<Option<Self>, KeyError> {
        if self.rotation.is_some() {
            return Ok(None);
        }
        let next = Authority::create(now)?;
        let cross = self.signing.cross_certify(&next, now)?;
        let former = self.signing.certificate().clone();
        let rotation = Some(Rotation { former, cross, begun: now });
        Ok(Some(Self { signing: Arc::new(next), rotation, dropped: self.dropped.clone() }))
    }

    /// The former root is trusted no more.
    #[must_use]
    pub fn settled(&self) -> Self {
        let pin = self.rotation.as_ref().and_then(|rotation| rotation.former.pin());
        let dropped = self.dropped.iter().copied().chain(pin).collect();
        Self { signing: self.signing.clone(), rotation: None, dropped }
    }

    /// The roots whose certificates of nodes are accepted.
    pub(super) fn roots_of_nodes(&self) -> Vec<CertificateDer<'static>> {
        let former = self.rotation.as_ref().map(|rotation| rotation.former.der().clone());
        [self.signing.certificate().der().clone()].into_iter().chain(former).collect()
    }

    /// What a controller shows with its own certificate. Whoever joins finds the pinned key in it, whoever has the
    /// former root a way from there.
    pub(super) fn shown(&self) -> &Certificate {
        match &self.rotation {
            Some(rotation) => &rotation.cross,
            None => self.signing.certificate(),
        }
    }

    /// What a node trusts that gets its certificate now. The former root is not part of it: whoever has its key cannot
    /// pass for the controller any more where a node has renewed.
    pub(super) fn bundle(&self) -> Vec<Certificate> {
        vec![self.signing.certificate().clone()]
    }
}

/// The authorities as they are at this moment. Clones see the same ones.
#[derive(Debug, Clone)]
pub struct PresentAuthority(Arc<watch::Sender<Arc<PoolAuthority>>>);

impl PresentAuthority {
    /// These, until others take their place.
    #[must_use]
    pub fn new(authority: impl Into<PoolAuthority>) -> Self {
        Self(Arc::new(watch::Sender::new(Arc::new(authority.into()))))
    }

    /// What they are.
    #[must_use]
    pub fn get(&self) -> Arc<PoolAuthority> {
        self.0.borrow().clone()
    }

    /// What they are, and each that takes their place.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<Arc<PoolAuthority>> {
        self.0.subscribe()
    }

    /// Puts others in place.
    pub fn publish(&self, authority: PoolAuthority) {
        self.0.send_replace(Arc::new(authority));
    }
}

#[cfg(test)]
mod tests {
    use super::super::chain::{self, Dates, Usage};
    use super::super::life::Life;
    use super::super::private_key::PrivateKey;
    use super::*;

    const NOW: u64 = 1_800_000_000_000;

    fn begun() -> (PoolAuthority, PoolAuthority) {
        let old = PoolAuthority::from(Authority::create(NOW).unwrap());
        let new = old.rotated(NOW + 5000).unwrap().unwrap();
        (old, new)
    }

    #[test]
    fn who_trusts_the_former_root_alone_accepts_what_the_new_one_certifies() {
        let (old, new) = begun();
        let key = PrivateKey::generate().unwrap().public();
        let roots = [old.signing().certificate().der().clone()];
        let anchors = chain::anchors(&roots).unwrap();
        // Also after the controller's clock was set back.
        for at in [NOW + 5000, NOW - 100_000_000_000] {
            let own = new.signing().certify_controller(&key, Life::of_node(at)).unwrap();
            let verify = |shown: &[CertificateDer<'_>]| {
                chain::verify(own.der(), shown, &anchors, Usage::Server, chain::time(0))
            };
            let shown = [new.shown().der().clone()];
            assert!(matches!(verify(&shown), Ok(Dates::Early { .. })), "{at}");
            assert!(verify(&[]).is_err());
            let itself = [new.signing().certificate().der().clone()];
            assert!(verify(&itself).is_err(), "a root that nobody vouches for");
        }
        assert_eq!(new.shown().pin(), Some(new.pin()), "who joins finds the token's key");
    }

    #[test]
    fn the_former_root_is_dropped_and_remembered() {
        let (old, new) = begun();
        assert_ne!(old.pin(), new.pin());
        assert!(new.rotated(NOW).unwrap().is_none(), "one after the other");
        assert_eq!((old.roots_of_nodes().len(), new.roots_of_nodes().len()), (1, 2));
        let settled = new.settled();
        assert_eq!((settled.pin(), settled.roots_of_nodes().len()), (new.pin(), 1));
        assert_eq!(settled.shown(), settled.signing().certificate());
        assert_eq!(settled.dropped(), [old.pin()]);
        let next = settled.rotated(NOW + 9000).unwrap().unwrap().settled();
        assert_eq!(next.dropped(), [old.pin(), new.pin()]);
    }

    #[test]
    fn it_is_known_since_when_an_authority_certifies() {
        let (old, new) = begun();
        let life = |one: &PoolAuthority| one.signing().certificate().life_of_root();
        assert_eq!(life(&old).unwrap().issued, NOW);
        assert_eq!(life(&new).unwrap().issued, NOW + 5000);
        assert!(life(&old).unwrap().expires > NOW + 19 * 365 * 24 * 3_600_000);
    }
}
