//! What a controller that does not lead shows to the one that does: both have the pool's authority on record.

use super::authority_record::{AuthorityError, authority_on_record};
use super::dialing::as_client;
use super::keyring::Keyring;
use super::life::Life;
use super::pool_authority::PoolAuthority;
use super::pool_record::PoolRecord;
use super::private_key::{KeyError, PrivateKey};
use rustls::ClientConfig;

/// Why it has nothing to show.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StandbyError {
    /// No controller of this pool has led yet.
    #[error("the pool has no certificate authority yet")]
    NoAuthority,
    /// The authority on record.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// Its own key.
    #[error("the standby's certificate: {0}")]
    Key(#[from] KeyError),
    /// TLS.
    #[error("TLS between controllers cannot be set up")]
    Tls(#[from] rustls::Error),
}

/// As a standby of the pool whose authority is on this record: accepts its controllers, and shows a certificate that
/// holds for some days. ALPN is the transport's to add.
pub async fn as_standby(
    record: &dyn PoolRecord,
    keys: &Keyring,
    now: u64,
) -> Result<ClientConfig, StandbyError> {
    let authority = authority_on_record(record, keys).await?.ok_or(StandbyError::NoAuthority)?;
    shown(&authority, now)
}

fn shown(authority: &PoolAuthority, now: u64) -> Result<ClientConfig, StandbyError> {
    let key = PrivateKey::generate()?;
    let own = authority.signing().certify_standby(&key.public(), Life::of_node(now))?;
    Ok(as_client(&key, &own, &authority.bundle())?)
}
