//! The controller's own certificate: made in memory, and made anew in the second half of its life, so that a
//! controller that runs for months never shows one that is over.

use super::certificate::Certificate;
use super::life::Life;
use super::pin::Pin;
use super::pool_authority::{PoolAuthority, PresentAuthority};
use super::private_key::{KeyError, PrivateKey};
use crate::clock::now;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::sync::{Arc, Mutex};

/// What the controller shows to whoever connects: its certificate, and the authority's, in which those who join
/// recognize the pool.
#[derive(Debug)]
pub struct ControllerKey {
    authority: PresentAuthority,
    shown: Mutex<Shown>,
}

#[derive(Debug, Clone)]
struct Shown {
    key: Arc<CertifiedKey>,
    life: Life,
    /// The authority, and what is shown of it.
    of: (Pin, Certificate),
}

impl ControllerKey {
    /// A new certificate for the controller of this pool.
    pub fn new(authority: PresentAuthority, now: u64) -> Result<Self, KeyError> {
        let shown = Mutex::new(Shown::make(&authority.get(), now)?);
        Ok(Self { authority, shown })
    }

    /// What is shown at this time.
    pub fn at(&self, now: u64) -> Arc<CertifiedKey> {
        let mut shown = self.shown.lock().expect("nothing panics while it holds what is shown");
        let authority = self.authority.get();
        // Where the clock was set back the certificate begins in the future: that is one to replace, too.
        let is_old = shown.life.is_half_over(now) || now < shown.life.issued;
        if is_old || shown.of != (authority.pin(), authority.shown().clone()) {
            // Where no other can be made, this one still holds for days.
            if let Ok(next) = Shown::make(&authority, now) {
                *shown = next;
            }
        }
        shown.key.clone()
    }
}

impl Shown {
    fn make(authority: &PoolAuthority, now: u64) -> Result<Self, KeyError> {
        let (key, life) = (PrivateKey::generate()?, Life::of_node(now));
        let own = authority.signing().certify_controller(&key.public(), life)?;
        let chain = vec![own.der().clone(), authority.shown().der().clone()];
        let signer =
            any_supported_type(&key.for_tls()).expect("ring signs with the keys that ring makes");
        let of = (authority.pin(), authority.shown().clone());
        Ok(Self { key: Arc::new(CertifiedKey::new(chain, signer)), life, of })
    }
}

impl ResolvesServerCert for ControllerKey {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.at(now()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::authority::Authority;
    use super::super::life::DAY;
    use super::*;

    #[test]
    fn a_controller_that_runs_on_shows_another_certificate_in_time() {
        let authority = PresentAuthority::new(Authority::create(0).unwrap());
        let key = ControllerKey::new(authority, 100 * DAY).unwrap();
        let shown = |day: u64| key.at(day * DAY).cert[0].clone();
        let first = shown(100);
        assert_eq!(shown(103), first);
        let second = shown(104);
        assert_ne!(second, first);
        assert_eq!(shown(107), second);
        assert_ne!(shown(108), second);
        // The clock was wrong, and was set back.
        assert_ne!(shown(50), shown(108));
    }

    #[test]
    fn what_is_shown_is_of_the_authority_that_certifies() {
        let present = PresentAuthority::new(Authority::create(0).unwrap());
        let key = ControllerKey::new(present.clone(), DAY).unwrap();
        let first = key.at(DAY).cert.clone();
        let rotated = present.get().rotated(DAY).unwrap().unwrap();
        present.publish(rotated.clone());
        let second = key.at(DAY).cert.clone();
        assert!(second[0] != first[0] && second[1] == *rotated.shown().der());
        present.publish(rotated.settled());
        assert_eq!(key.at(DAY).cert[1], *rotated.signing().certificate().der());
    }
}
