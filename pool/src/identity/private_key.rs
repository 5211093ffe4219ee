//! A private key: made here, stored by its owner alone, and never shown.

use super::public_key::PublicKey;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, SigningKey};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::fmt;

/// A P-256 private key.
pub struct PrivateKey(KeyPair);

/// Why there is no key, or no signature.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what}: {why}")]
pub struct KeyError {
    /// What was tried.
    pub(super) what: &'static str,
    /// What the library says of it; never anything of a key.
    pub(super) why: rcgen::Error,
}

impl PrivateKey {
    /// A new key of the system's randomness.
    pub fn generate() -> Result<Self, KeyError> {
        KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map(Self).map_err(error("generate a key"))
    }

    /// Reads a key in PKCS #8.
    pub fn from_pkcs8(der: &PrivatePkcs8KeyDer<'_>) -> Result<Self, KeyError> {
        let read = KeyPair::from_pkcs8_der_and_sign_algo(der, &PKCS_ECDSA_P256_SHA256);
        read.map(Self).map_err(error("read a P-256 private key"))
    }

    /// Its public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey::from_point(self.0.public_key_raw()).expect("P-256 keys are made as such points")
    }

    /// Signs a message.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        SigningKey::sign(&self.0, message).map_err(error("sign with a private key"))
    }

    /// What signs certificates.
    pub(super) fn pair(&self) -> &KeyPair {
        &self.0
    }

    /// The key for a TLS configuration.
    pub(super) fn for_tls(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.0.serialize_der()).into()
    }

    /// The key as it is stored.
    pub(super) fn to_pem(&self) -> String {
        self.0.serialize_pem()
    }
}

pub(super) fn error(what: &'static str) -> impl Fn(rcgen::Error) -> KeyError {
    move |why| KeyError { what, why }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey(of {:?})", self.public())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::PublicKeyData;

    #[test]
    fn a_key_is_read_again_and_proves_itself() {
        let key = PrivateKey::generate().unwrap();
        let PrivateKeyDer::Pkcs8(stored) = key.for_tls() else { panic!("PKCS #8") };
        let again = PrivateKey::from_pkcs8(&stored).unwrap();
        assert_eq!(again.public(), key.public());
        let proof = again.sign(b"a message").unwrap();
        assert!(key.public().signed(b"a message", &proof));
        assert!(!key.public().signed(b"another", &proof));
        assert!(!PrivateKey::generate().unwrap().public().signed(b"a message", &proof));
    }

    #[test]
    fn a_public_key_travels_as_text_and_the_private_one_is_not_shown() {
        let key = PrivateKey::generate().unwrap();
        let text = serde_json::to_string(&key.public()).unwrap();
        assert_eq!(serde_json::from_str::<PublicKey>(&text).unwrap(), key.public());
        assert_eq!(PublicKey::from_info(&key.0.subject_public_key_info()), Ok(key.public()));
        assert!(serde_json::from_str::<PublicKey>("\"bm90IGEga2V5\"").is_err());
        let PrivateKeyDer::Pkcs8(stored) = key.for_tls() else { panic!("PKCS #8") };
        let bytes = format!("{:?}", &stored.secret_pkcs8_der()[36..44]);
        let shown = format!("{key:?}");
        assert!(!shown.contains(&bytes[1..bytes.len() - 1]) && shown.contains("of PublicKey"));
    }
}
