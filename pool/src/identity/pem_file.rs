//! A private key and certificates in one file: PEM, which other tools read, below a line that says what it is.
//!
//! # Invariants
//! - Only the owner can read the file, from its first byte on.
//! - The key and what was certified of it are replaced together or not at all.

use super::certificate::Certificate;
use super::private_key::PrivateKey;
use keel_durable::Hold;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use std::io;
use std::path::{Path, PathBuf};

/// The form of the files that this version writes.
const VERSION: &str = "1";

/// A key, and what was certified of it.
#[derive(Debug)]
pub(super) struct Contents {
    pub key: PrivateKey,
    pub certificates: Vec<Certificate>,
}

/// Why a file of keys cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// The disk.
    #[error("cannot {what} `{path}`: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Its first line is another one.
    #[error(
        "`{path}` does not begin with `{expected}`: it was written by a newer version, or is another file; \
         restore it from a backup"
    )]
    Form {
        /// Where.
        path: PathBuf,
        /// What it should begin with.
        expected: String,
    },
    /// It holds no key, or certificates that cannot be read.
    #[error("`{path}` is damaged ({why}); restore it from a backup")]
    Damaged {
        /// Where.
        path: PathBuf,
        /// What cannot be read.
        why: String,
    },
}

/// Reads a file of this kind; `None` where there is none.
pub(super) fn read(path: &Path, kind: &str) -> Result<Option<Contents>, KeyFileError> {
    match std::fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        text => decode(&text.map_err(io_error("read", path))?, path, kind).map(Some),
    }
}

/// The content of a file of this kind.
pub(super) fn decode(text: &[u8], path: &Path, kind: &str) -> Result<Contents, KeyFileError> {
    let expected = format!("{kind} {VERSION}");
    if text.split(|byte| *byte == b'\n').next() != Some(expected.as_bytes()) {
        return Err(KeyFileError::Form { path: path.to_owned(), expected });
    }
    parse(text).map_err(|why| KeyFileError::Damaged { path: path.to_owned(), why })
}

fn parse(text: &[u8]) -> Result<Contents, String> {
    let key = PrivatePkcs8KeyDer::from_pem_slice(text).map_err(|error| error.to_string())?;
    let key = PrivateKey::from_pkcs8(&key).map_err(|error| error.to_string())?;
    let certificates = CertificateDer::pem_slice_iter(text).map(|one| one.map(Certificate::new));
    let certificates = certificates.collect::<Result<_, _>>().map_err(|error| error.to_string())?;
    Ok(Contents { key, certificates })
}

/// Writes a file of this kind, and the folder that it is in.
pub(super) fn write(
    path: &Path,
    kind: &str,
    key: &PrivateKey,
    certificates: &[Certificate],
) -> Result<(), KeyFileError> {
    let text = encode(kind, key, certificates);
    if let Some(folder) = path.parent() {
        keel_durable::make_folder(folder, 0o700).map_err(io_error("create", folder))?;
    }
    keel_durable::replace(path, text.as_bytes(), 0o600, Hold::Power)
        .map_err(io_error("write", path))
}

/// The content of a file of this kind.
pub(super) fn encode(kind: &str, key: &PrivateKey, certificates: &[Certificate]) -> String {
    let mut text = format!("{kind} {VERSION}\n{}", key.to_pem());
    for certificate in certificates {
        text.push_str(&certificate.to_pem());
    }
    text
}

pub(super) fn io_error<'a>(
    what: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> KeyFileError + 'a {
    move |source| KeyFileError::Io { what, path: path.to_owned(), source }
}
