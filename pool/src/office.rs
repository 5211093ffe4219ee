//! The controller's side of a pool, put together: its authority, the record of its nodes, and the nodes themselves.

use crate::clock::now;
use crate::identity::{
    AuthorityError, AuthorityLedger, ControllerKey, KeelVersion, KeyError, Keyring, LedgerError,
    NodeRecord, NodeTerms, NodeVerifier, PoolAuthority, PoolRecord, Registrar, RegistrarError,
    Roster, RotationError, RotationProgress, SealedBy, Token, TokenId, TokenRecord, TokenSpec,
};
use crate::reception::{Reception, Visit};
use crate::rotating::Rotating;
use crate::transport::{Far, Listener, Relayed, Switchboard};
use keel_engine::NodeName;
use rustls::ServerConfig;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// Why there is no pool.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OfficeError {
    /// Its certificate authority.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The controller's own key.
    #[error("the controller's certificate: {0}")]
    Key(#[from] KeyError),
    /// The record of its nodes.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// TLS.
    #[error("TLS for nodes cannot be set up")]
    Tls(#[from] rustls::Error),
}

/// What an office is opened with.
pub struct Premises {
    /// Where the pool's certificate authority is on record.
    pub authority: Arc<dyn PoolRecord>,
    /// The file that an earlier version kept it in.
    pub file: PathBuf,
    /// What its key is sealed with.
    pub keys: Keyring,
    /// Where nodes and tokens are on record.
    pub store: Arc<dyn PoolRecord>,
    /// The controller's own node.
    pub home: NodeName,
    /// The nodes, connected or not.
    pub switchboard: Arc<Switchboard>,
    /// Who is told what happens.
    pub tell: Arc<dyn Fn(Visit) + Send + Sync>,
}

/// The office of one pool.
pub struct Office {
    registrar: Arc<Registrar>,
    reception: Arc<Reception>,
    tls: Arc<ServerConfig>,
    authorities: AuthorityLedger,
    switchboard: Arc<Switchboard>,
    home: NodeName,
    tell: Arc<dyn Fn(Visit) + Send + Sync>,
}

impl Office {
    /// Opens it; nobody is let in before [`listen`](Self::listen).
    pub async fn open(premises: Premises) -> Result<Self, OfficeError> {
        let Premises { authority, file, keys, store, home, switchboard, tell } = premises;
        let authorities = AuthorityLedger::open(authority, file, keys, now()).await?;
        let authority = authorities.present().clone();
        let version = KeelVersion::own();
        let registrar = Registrar::open(store, authority.clone(), home.clone(), version).await?;
        let verifier = Arc::new(NodeVerifier::new(authority.clone(), registrar.roster()));
        let own = Arc::new(ControllerKey::new(authority, now())?);
        let tls = Arc::new(verifier.server_config(own)?);
        let registrar = Arc::new(registrar);
        let reception = Arc::new(Reception::new(registrar.clone(), verifier, {
            let tell = tell.clone();
            move |visit| tell(visit)
        }));
        Ok(Self { registrar, reception, tls, authorities, switchboard, home, tell })
    }

    /// Lets nodes in for as long as this is polled, and those standbys that hand on what they are asked.
    pub fn listen(
        &self,
        tcp: TcpListener,
        relayed: Option<mpsc::Sender<Relayed>>,
    ) -> impl Future<Output = Infallible> + Send + use<> {
        let (gate, switchboard) = (self.reception.clone(), self.switchboard.clone());
        let tls = self.tls.clone();
        Listener { tcp, tls: Arc::new(move || tls.clone()), gate, switchboard, relayed }.run()
    }

    /// Goes on with a replacement of the authority for as long as this is polled.
    pub fn keep_rotating(&self) -> impl Future<Output = Infallible> + Send + use<> {
        let (roster, switchboard) = (self.roster(), self.switchboard.clone());
        let rotating = Rotating { authorities: self.authorities.clone(), roster, switchboard };
        let tell = self.tell.clone();
        rotating.keep(move |ended| {
            tell(ended.map_or_else(Visit::Unsettled, |()| Visit::Rotated));
        })
    }

    /// The authorities that the pool trusts now.
    #[must_use]
    pub fn authority(&self) -> Arc<PoolAuthority> {
        self.authorities.present().get()
    }

    /// What the authority's key on record is sealed with.
    #[must_use]
    pub fn sealed_by(&self) -> SealedBy {
        self.authorities.sealed_by()
    }

    /// Which nodes have a certificate of the authority that certifies now.
    #[must_use]
    pub fn rotation_progress(&self) -> RotationProgress {
        RotationProgress::of(&self.roster().registry(), self.authority().signing())
    }

    /// Replaces the authority. Tokens that were made before are worthless from now on; nodes renew one after another.
    pub async fn rotate(&self) -> Result<(), RotationError> {
        self.authorities.rotate(now()).await
    }

    /// Every node on record.
    #[must_use]
    pub fn nodes(&self) -> Vec<NodeRecord> {
        self.registrar.roster().registry().nodes().cloned().collect()
    }

    /// Who belongs to the pool, as it changes.
    #[must_use]
    pub fn roster(&self) -> Roster {
        self.registrar.roster()
    }

    /// The engine of a node, connected or not.
    #[must_use]
    pub fn far(&self, node: &NodeName) -> Arc<Far> {
        self.switchboard.far(node)
    }

    /// Makes a token; it is shown now or never.
    pub async fn create_token(&self, spec: TokenSpec) -> Result<Token, RegistrarError> {
        self.registrar.create_token(spec, now()).await
    }

    /// Every token on record.
    #[must_use]
    pub fn tokens(&self) -> Vec<TokenRecord> {
        self.registrar.roster().registry().tokens().cloned().collect()
    }

    /// Ends a token; the nodes that joined with it stay.
    pub async fn revoke_token(&self, id: &TokenId) -> Result<(), RegistrarError> {
        self.registrar.change(|registry| registry.revoke_token(id, now())).await
    }

    /// Notes what people say of a node, the controller's own among them.
    pub async fn change_terms(
        &self,
        node: &NodeName,
        change: impl Fn(&mut NodeTerms) + Send + Sync,
    ) -> Result<(), RegistrarError> {
        let named = Some(node).filter(|node| **node != self.home);
        self.registrar.change(|registry| registry.terms_mut(named).map(&change)).await
    }

    /// Notes a person's word that a node's machine does not run any more, unless it is connected.
    pub async fn confirm_dead(&self, node: &NodeName) -> Result<(), RegistrarError> {
        let far = self.far(node);
        let confirm = |registry: &mut crate::identity::Registry| {
            registry.confirm_dead(node, far.away().is_none(), now())
        };
        self.registrar.change(confirm).await
    }

    /// Removes a node: its connection ends, and it is let in no more.
    pub async fn remove(&self, node: &NodeName, force: bool) -> Result<NodeRecord, RegistrarError> {
        let is_connected = self.far(node).away().is_none();
        self.registrar.remove(node, is_connected, force).await
    }
}
