//! The controller's office: makes tokens, lets machines join, renews certificates, changes and removes nodes.
//!
//! Decisions are `admission` and `renewal`; here they meet the store, the authority and the clock.

use super::admission::{Admission, Circumstances, decide, use_of};
use super::certificate::{Certificate, Role, Subject};
use super::chain::{self, Usage};
use super::join::{JoinError, JoinReply, JoinRequest};
use super::keel_version::KeelVersion;
use super::ledger::{Ledger, LedgerError};
use super::life::Life;
use super::node::{NodeKey, NodeRecord};
use super::node_id::NodeId;
use super::node_verifier::PeerIdentity;
use super::pool_authority::{PoolAuthority, PresentAuthority};
use super::pool_record::PoolRecord;
use super::private_key::KeyError;
use super::public_key::PublicKey;
use super::registry::{Registry, RegistryError};
use super::renewal::{self, RenewError, RenewReply, RenewRequest};
use super::roster::Roster;
use super::throttle::Throttle;
use super::token::{Token, TokenId};
use super::token_record::{TokenSpec, TokenUse};
use keel_engine::NodeName;
use ring::rand::{SecureRandom, SystemRandom};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// Who decides about who belongs to the pool.
pub struct Registrar {
    ledger: Ledger,
    authority: PresentAuthority,
    home: NodeName,
    version: KeelVersion,
    throttle: Mutex<Throttle>,
    started: Instant,
}

/// What came of a request to join.
#[derive(Debug)]
pub struct JoinOutcome {
    /// What the machine is answered.
    pub answer: Result<JoinReply, JoinError>,
    /// What a person should be told: somebody else has the token.
    pub alert: Option<TokenMisuse>,
}

/// A token that was used up came again, for another key. It was read by somebody who should not have it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "join token {token} was used up and came again, from {} as `{}`: somebody else has it; check which node joined \
     with it (`keel node ls`), and remove that with `keel node rm` if it is not yours", .second.address, .second.name
)]
pub struct TokenMisuse {
    /// The token.
    pub token: TokenId,
    /// Who came.
    pub second: TokenUse,
}

/// Why the registrar could not do it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistrarError {
    /// The record.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// What was asked for.
    #[error(transparent)]
    Refused(#[from] RegistryError),
    /// The system gives no random numbers.
    #[error("the system gives no random numbers, which tokens and nodes need; check /dev/urandom")]
    Random,
}

impl Registrar {
    /// The registrar of the pool whose records these are. `home` is the controller's own node.
    ///
    /// # Errors
    /// Those of the store, and where nodes are on record that another authority certified: they would be locked
    /// out, and would not know why.
    pub async fn open(
        store: Arc<dyn PoolRecord>,
        authority: PresentAuthority,
        home: NodeName,
        version: KeelVersion,
    ) -> Result<Self, LedgerError> {
        let ledger = Ledger::open(store).await?;
        let registry = ledger.roster().registry();
        let mut nodes = registry.nodes().peekable();
        if nodes.peek().is_some() && !nodes.any(|node| is_certified(&authority.get(), node)) {
            return Err(LedgerError::OtherAuthority);
        }
        let (throttle, started) = (Mutex::default(), Instant::now());
        Ok(Self { ledger, authority, home, version, throttle, started })
    }

    /// Who belongs to the pool: for the verifier of handshakes, and for whatever serves
    /// connections.
    #[must_use]
    pub fn roster(&self) -> Roster {
        self.ledger.roster().clone()
    }

    /// Makes a token. It is in no record, so it is shown now or never.
    pub async fn create_token(&self, spec: TokenSpec, now: u64) -> Result<Token, RegistrarError> {
        let (token, record) = spec.make(self.authority.get().pin(), random()?, now);
        self.change(|registry| {
            registry.add_token(record.clone());
            Ok(())
        })
        .await?;
        Ok(token)
    }

    /// Changes nodes or tokens by one of the registry's functions.
    pub async fn change<T>(
        &self,
        change: impl FnMut(&mut Registry) -> Result<T, RegistryError>,
    ) -> Result<T, RegistrarError> {
        Ok(self.ledger.change(change).await??)
    }

    /// Removes a node: once this returns, nobody lets it in, and what serves its connections was told.
    pub async fn remove(
        &self,
        name: &NodeName,
        is_connected: bool,
        force: bool,
    ) -> Result<NodeRecord, RegistrarError> {
        self.change(|registry| registry.remove(name, is_connected, force)).await
    }

    /// Answers a request to join.
    pub async fn join(&self, request: &JoinRequest, address: IpAddr, now: u64) -> JoinOutcome {
        if let Some(error) = self.slowed(address) {
            return JoinOutcome { answer: Err(error), alert: None };
        }
        let decided = self.ledger.change(|registry| self.decide(registry, request, address, now));
        let unavailable = |why: String| Err(JoinError::Unavailable { why });
        match decided.await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => JoinOutcome { answer: unavailable(error.to_string()), alert: None },
            Err(error) => JoinOutcome { answer: unavailable(error.to_string()), alert: None },
        }
    }

    fn slowed(&self, address: IpAddr) -> Option<JoinError> {
        let mut throttle = self.throttle.lock().expect("nothing panics while it holds the counts");
        let retry_after = throttle.wait(address, self.uptime())?;
        Some(JoinError::SlowDown { retry_after })
    }

    /// Milliseconds that only grow, whatever is done to the clock.
    fn uptime(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Decides, and changes the registry accordingly. What is refused may leave its mark, too.
    fn decide(
        &self,
        registry: &mut Registry,
        request: &JoinRequest,
        address: IpAddr,
        now: u64,
    ) -> Result<JoinOutcome, RegistrarFault> {
        // Others of the same address may have been counted since it was let through.
        if let Some(error) = self.slowed(address) {
            return Ok(JoinOutcome { answer: Err(error), alert: None });
        }
        let (authority, text) = (self.authority.get(), address.to_canonical().to_string());
        let around = &Circumstances {
            now,
            address: &text,
            version: self.version,
            pool: authority.pin(),
            home: &self.home,
        };
        let decided = match decide(registry, request, around) {
            Ok(Admission::Again(node)) => Ok(Some(node.clone())),
            Ok(Admission::New) => Ok(None),
            Err(error) => Err(error),
        };
        let node = match decided {
            Ok(Some(node)) => node,
            Ok(None) => admit(&authority, registry, request, around)?,
            Err(error) => return Ok(self.refuse(registry, request, around, address, error)),
        };
        Ok(JoinOutcome { answer: reply(&authority, &node, &request.key, now), alert: None })
    }

    fn refuse(
        &self,
        registry: &mut Registry,
        request: &JoinRequest,
        around: &Circumstances<'_>,
        address: IpAddr,
        error: JoinError,
    ) -> JoinOutcome {
        if matches!(error, JoinError::Unknown) {
            let mut throttle =
                self.throttle.lock().expect("nothing panics while it holds the counts");
            throttle.wrong(address, self.uptime());
        }
        let second = use_of(request, around, None);
        let token = registry.token_mut(&request.token);
        // A node that was removed and asks with its old key is no stranger.
        let misused = token.filter(|token| {
            matches!(error, JoinError::Used { .. }) && token.join_of(&request.key).is_none()
        });
        let is_new = misused.is_some_and(|token| token.note_misuse(second.clone()));
        let alert = is_new.then(|| TokenMisuse { token: request.token.clone(), second });
        JoinOutcome { answer: Err(error), alert }
    }

    /// Answers a node that asks for its next certificate, also one whose present certificate is over.
    pub async fn renew(
        &self,
        peer: &PeerIdentity,
        request: &RenewRequest,
        now: u64,
    ) -> Result<RenewReply, RenewError> {
        let (PeerIdentity::Node(peer) | PeerIdentity::Expired(peer)) = peer else {
            return Err(RenewError::Removed);
        };
        let unavailable = |why: String| RenewError::Unavailable { why };
        // What certifies is looked at once: the bundle is of the certificate's authority.
        let authority = self.authority.get();
        let changed =
            self.ledger.change(|registry| self.renewed(&authority, registry, peer, request, now));
        let certificate = changed.await.map_err(|error| unavailable(error.to_string()))??;
        Ok(RenewReply { certificate, bundle: authority.bundle(), clock: now })
    }

    fn renewed(
        &self,
        authority: &PoolAuthority,
        registry: &mut Registry,
        peer: &Subject,
        request: &RenewRequest,
        now: u64,
    ) -> Result<Certificate, RenewError> {
        let before = renewal::decide(registry, peer, request)?;
        if let Some(again) = before.filter(|key| authority.signing().has_certified(key)) {
            return Ok(again.certificate.clone());
        }
        let next = certify(authority, &peer.node, peer.role, &request.key, now);
        let next = next.map_err(|error| RenewError::Unavailable { why: error.to_string() })?;
        let certificate = next.certificate.clone();
        let node = registry.node_mut(&peer.node).ok_or(RenewError::Removed)?;
        node.renew(next, &peer.key, now);
        node.version = request.version;
        Ok(certificate)
    }

    /// Notes that a node uses this certificate: what was certified before is needed no more.
    pub async fn confirm(&self, peer: &PeerIdentity, now: u64) -> Result<(), RenewError> {
        let PeerIdentity::Node(peer) = peer else { return Err(RenewError::Removed) };
        let noted = self.change(|registry| registry.confirm(&peer.node, &peer.key, now)).await;
        noted.map_err(|error| RenewError::Unavailable { why: error.to_string() })
    }
}

/// Why a request that is granted cannot be carried out.
#[derive(Debug, thiserror::Error)]
enum RegistrarFault {
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Random(#[from] RegistrarError),
    #[error(transparent)]
    Lost(JoinError),
}

fn admit(
    authority: &PoolAuthority,
    registry: &mut Registry,
    request: &JoinRequest,
    around: &Circumstances<'_>,
) -> Result<NodeRecord, RegistrarFault> {
    let id = NodeId::new(random()?);
    let role = registry.token(&request.token).map_or(Role::Agent, |token| token.role);
    let key = certify(authority, &id, role, &request.key, around.now)?;
    registry.admit(request, around, id.clone(), key).map_err(RegistrarFault::Lost)?;
    registry.node(&id).cloned().ok_or(RegistrarFault::Lost(JoinError::Unknown))
}

fn reply(
    authority: &PoolAuthority,
    node: &NodeRecord,
    key: &PublicKey,
    clock: u64,
) -> Result<JoinReply, JoinError> {
    let known = node.key(key).ok_or(JoinError::Unknown)?;
    Ok(JoinReply {
        node: node.id.clone(),
        name: node.name.clone(),
        certificate: known.certificate.clone(),
        bundle: authority.bundle(),
        clock,
    })
}

fn certify(
    authority: &PoolAuthority,
    id: &NodeId,
    role: Role,
    key: &PublicKey,
    now: u64,
) -> Result<NodeKey, KeyError> {
    let life = Life::of_node(now);
    let certificate = authority.signing().certify_node(id, role, key, life)?;
    Ok(NodeKey::new(key.clone(), certificate, life))
}

/// Whether one of a node's certificates is of these authorities; whether it still holds is of no account.
fn is_certified(authority: &PoolAuthority, node: &NodeRecord) -> bool {
    let roots = authority.roots_of_nodes();
    let certified = |anchors: &[_], key: &NodeKey| {
        chain::life(key.certificate.der(), anchors, Usage::Client).is_ok()
    };
    chain::anchors(&roots).is_ok_and(|anchors| node.keys.iter().any(|key| certified(&anchors, key)))
}

fn random<const LENGTH: usize>() -> Result<[u8; LENGTH], RegistrarError> {
    let mut bytes = [0; LENGTH];
    SystemRandom::new().fill(&mut bytes).map_err(|_| RegistrarError::Random)?;
    Ok(bytes)
}
