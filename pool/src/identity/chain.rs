//! Whether a certificate is signed by one of ours, and what its dates say, each by itself: an old certificate of a
//! node on record may still renew, and a machine without a clock may join.

use super::life::{BACKDATED, Life};
use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use rustls::{CertificateError, OtherError};
use std::sync::Arc;
use std::time::Duration;
use webpki::{EndEntityCert, Error, KeyUsage};

/// What the dates of a certificate say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dates {
    /// It holds.
    Current,
    /// It begins later.
    Early {
        /// When.
        begins: UnixTime,
    },
    /// It is over.
    Expired {
        /// Since when.
        ended: UnixTime,
    },
}

/// What a certificate is used for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Usage {
    /// By the controller.
    Server,
    /// By a node.
    Client,
}

/// Verifies that one of these keys signed a certificate for this usage, itself or by another authority that is shown
/// with it, and says what its dates are like.
pub(super) fn verify(
    certificate: &CertificateDer<'_>,
    shown: &[CertificateDer<'_>],
    anchors: &[TrustAnchor<'_>],
    usage: Usage,
    now: UnixTime,
) -> Result<Dates, CertificateError> {
    let read = EndEntityCert::try_from(certificate).map_err(refused)?;
    match at(&read, shown, anchors, usage, now) {
        Ok(()) => Ok(Dates::Current),
        // All but the dates is verified at a time when the certificate held.
        Err(Error::CertExpired { not_after, .. }) => {
            at(&read, shown, anchors, usage, not_after).map_err(refused)?;
            Ok(Dates::Expired { ended: not_after })
        }
        Err(Error::CertNotValidYet { not_before, .. }) => {
            at(&read, shown, anchors, usage, not_before).map_err(refused)?;
            Ok(Dates::Early { begins: not_before })
        }
        Err(error) => Err(refused(error)),
    }
}

/// From when to when a certificate holds that one of these keys signed.
pub(super) fn life(
    certificate: &CertificateDer<'_>,
    anchors: &[TrustAnchor<'_>],
    usage: Usage,
) -> Result<Life, CertificateError> {
    let dates = |seconds| verify(certificate, &[], anchors, usage, time(seconds));
    // No certificate of ours holds at either end of time, so that each names one of its dates.
    match (dates(0)?, dates(u64::MAX)?) {
        (Dates::Early { begins }, Dates::Expired { ended }) => Ok(lived(begins, ended)),
        _ => Err(CertificateError::BadEncoding),
    }
}

/// From when to when an authority's own certificate holds; who signed it is not asked.
pub(super) fn life_of_root(certificate: &CertificateDer<'_>) -> Option<Life> {
    let read = EndEntityCert::try_from(certificate).ok()?;
    // Its dates are looked at before what it is for.
    let dates = |seconds| at(&read, &[], &[], Usage::Server, time(seconds));
    match (dates(0), dates(u64::MAX)) {
        (
            Err(Error::CertNotValidYet { not_before, .. }),
            Err(Error::CertExpired { not_after, .. }),
        ) => Some(lived(not_before, not_after)),
        _ => None,
    }
}

/// Whether this authority is the one that a certificate names; what it is worth is verified elsewhere.
pub(super) fn names(certificate: &CertificateDer<'_>, root: &CertificateDer<'_>) -> bool {
    match (EndEntityCert::try_from(certificate), EndEntityCert::try_from(root)) {
        (Ok(certificate), Ok(root)) => certificate.issuer() == root.subject(),
        _ => false,
    }
}

fn lived(begins: UnixTime, ended: UnixTime) -> Life {
    Life { issued: begins.as_secs() * 1000 + BACKDATED, expires: ended.as_secs() * 1000 }
}

/// A time of ours for who reads certificates.
pub(super) fn time(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

/// What trusts these certificates.
pub(super) fn anchors<'a>(
    certificates: &'a [CertificateDer<'a>],
) -> Result<Vec<TrustAnchor<'a>>, CertificateError> {
    certificates.iter().map(|one| webpki::anchor_from_trusted_cert(one).map_err(refused)).collect()
}

fn at(
    certificate: &EndEntityCert<'_>,
    shown: &[CertificateDer<'_>],
    anchors: &[TrustAnchor<'_>],
    usage: Usage,
    now: UnixTime,
) -> Result<(), Error> {
    let usage = match usage {
        Usage::Server => KeyUsage::server_auth(),
        Usage::Client => KeyUsage::client_auth(),
    };
    let known = webpki::ALL_VERIFICATION_ALGS;
    certificate.verify_for_usage(known, anchors, shown, now, usage, None, None).map(|_| ())
}

/// What TLS says to the peer.
fn refused(error: Error) -> CertificateError {
    match error {
        Error::UnknownIssuer => CertificateError::UnknownIssuer,
        Error::InvalidSignatureForPublicKey => CertificateError::BadSignature,
        other => CertificateError::Other(OtherError(Arc::new(other))),
    }
}
