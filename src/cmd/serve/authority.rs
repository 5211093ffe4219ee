//! The pool's certificate authority, as people see it.

use keel_api::pool::{AuthorityRow, AuthoritySeal, RootRow, RotationRow};
use keel_pool::identity::{Certificate, Rotation, SealedBy};
use keel_pool::office::Office;
use keel_reconciler::clock::rfc3339;

/// As it is now.
pub fn row(office: &Office) -> AuthorityRow {
    let authority = office.authority();
    AuthorityRow {
        root: root(authority.signing().certificate()),
        sealed: match office.sealed_by() {
            SealedBy::Nothing => AuthoritySeal::Nothing,
            SealedBy::OwnFile => AuthoritySeal::File,
            SealedBy::UnlockKey => AuthoritySeal::UnlockKey,
        },
        rotation: authority.rotation().map(|rotation| under_way(rotation, office)),
    }
}

fn under_way(rotation: &Rotation, office: &Office) -> RotationRow {
    let progress = office.rotation_progress();
    RotationRow {
        since: rfc3339(rotation.begun),
        former: root(&rotation.former),
        renewed: progress.renewed,
        waiting: progress.waiting,
    }
}

fn root(certificate: &Certificate) -> RootRow {
    let time = |time: Option<u64>| time.map(rfc3339).unwrap_or_default();
    let life = certificate.life_of_root();
    RootRow {
        digest: certificate.pin().map(|pin| pin.to_string()).unwrap_or_default(),
        since: time(life.map(|life| life.issued)),
        expires: time(life.map(|life| life.expires)),
        certificate: certificate.to_pem(),
    }
}
