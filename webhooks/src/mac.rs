//! Proofs: a MAC over the bytes as they come, or a secret that was sent as it is.

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// A proof under way.
pub(crate) enum Check {
    /// What the headers say is enough.
    Proven,
    /// One of these must be the MAC of all that comes.
    Mac { mac: Hmac<Sha256>, expected: Vec<Vec<u8>> },
}

impl Check {
    /// HMAC-SHA256 with this key.
    pub fn mac(key: &[u8], expected: Vec<Vec<u8>>) -> Self {
        let mac = Hmac::new_from_slice(key).expect("HMAC takes keys of every length");
        Self::Mac { mac, expected }
    }

    /// The next bytes of what is signed.
    pub fn update(&mut self, bytes: &[u8]) {
        if let Self::Mac { mac, .. } = self {
            mac.update(bytes);
        }
    }

    /// Whether it is proven, now that all has come. Takes as long for a wrong one.
    pub fn holds(self) -> bool {
        match self {
            Self::Proven => true,
            Self::Mac { mac, expected } => {
                let ours = mac.finalize().into_bytes();
                let same = expected.iter().map(|theirs| ours.as_slice().ct_eq(theirs));
                same.fold(0, |any, one| any | one.unwrap_u8()) == 1
            }
        }
    }
}

/// Whether two secrets are the same; tells neither their length nor where they differ.
pub(crate) fn same_secret(one: &[u8], other: &[u8]) -> bool {
    Sha256::digest(one).ct_eq(&Sha256::digest(other)).into()
}
