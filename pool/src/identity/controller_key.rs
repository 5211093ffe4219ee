//! The controller's own certificate: made in memory, and made anew in the second half of its life, so that a
//! controller that runs for months never shows one that is over.

use super::authority::Authority;
use super::life::Life;
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
    authority: Arc<Authority>,
    shown: Mutex<Shown>,
}

#[derive(Debug, Clone)]
struct Shown {
    key: Arc<CertifiedKey>,
    life: Life,
}

impl ControllerKey {
    /// A new certificate for the controller of this pool.
    pub fn new(authority: Arc<Authority>, now: u64) -> Result<Self, KeyError> {
        let shown = Mutex::new(Shown::make(&authority, now)?);
        Ok(Self { authority, shown })
    }

    /// What is shown at this time.
    pub fn at(&self, now: u64) -> Arc<CertifiedKey> {
        let mut shown = self.shown.lock().expect("nothing panics while it holds what is shown");
        // Where the clock was set back the certificate begins in the future: that is one to replace, too.
        if shown.life.is_half_over(now) || now < shown.life.issued {
            // Where no other can be made, this one still holds for days.
            if let Ok(next) = Shown::make(&self.authority, now) {
                *shown = next;
            }
        }
        shown.key.clone()
    }
}

impl Shown {
    fn make(authority: &Authority, now: u64) -> Result<Self, KeyError> {
        let (key, life) = (PrivateKey::generate()?, Life::of_node(now));
        let own = authority.certify_controller(&key.public(), life)?;
        let chain = vec![own.der().clone(), authority.certificate().der().clone()];
        let signer =
            any_supported_type(&key.for_tls()).expect("ring signs with the keys that ring makes");
        Ok(Self { key: Arc::new(CertifiedKey::new(chain, signer)), life })
    }
}

impl ResolvesServerCert for ControllerKey {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.at(now()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::life::DAY;
    use super::*;

    #[test]
    fn a_controller_that_runs_on_shows_another_certificate_in_time() {
        let authority = Arc::new(Authority::create(0).unwrap());
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
}
