//! The controller's gate: whoever dials in is let in by the record, and may join or renew by it.
//!
//! # Invariants
//! - A node's connection ends when its record does.
//! - Who has no certificate may ask to join; whose certificate is over may renew. Neither is ever connected.

use crate::clock::now;
use crate::identity::{
    AuthorityError, KeelVersion, NodeVerifier, PeerIdentity, Registrar, Subject, TokenMisuse,
};
use crate::request::PoolRequest;
use crate::transport::{Admitted, Away, Gate, Hello, Peer, Turned};
use async_trait::async_trait;
use keel_engine::NodeName;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// What a person may want to know of those who dial in.
#[derive(Debug)]
#[non_exhaustive]
pub enum Visit {
    /// A machine became a node.
    Joined(NodeName, IpAddr),
    /// A node is let in.
    Arrived(NodeName, IpAddr),
    /// A token was used that was used up: somebody else has it.
    Misuse(TokenMisuse),
    /// Somebody was not let in.
    TurnedAway(SocketAddr, Turned),
    /// A node's connection is over.
    Left(NodeName, Away),
    /// Every node has a certificate of the new authority: the root before it is trusted no more.
    Rotated,
    /// That could not be stored.
    Unsettled(AuthorityError),
}

/// Lets nodes in.
pub struct Reception {
    registrar: Arc<Registrar>,
    verifier: Arc<NodeVerifier>,
    tell: Arc<dyn Fn(Visit) + Send + Sync>,
}

impl Reception {
    /// By these records. What a person may want to know is told as it happens.
    pub fn new(
        registrar: Arc<Registrar>,
        verifier: Arc<NodeVerifier>,
        tell: impl Fn(Visit) + Send + Sync + 'static,
    ) -> Self {
        Self { registrar, verifier, tell: Arc::new(tell) }
    }

    fn identify(&self, peer: &Peer<'_>) -> Result<PeerIdentity, String> {
        let shown = Some(peer.certificates).filter(|shown| !shown.is_empty());
        self.verifier.identify(shown, now()).map_err(|error| error.to_string())
    }

    /// Where it came from is for people: a disk that does not take that keeps nobody out.
    async fn note(&self, subject: &Subject, address: IpAddr) {
        let address = address.to_canonical().to_string();
        let seen = self.registrar.change(|registry| {
            let known = registry.node(&subject.node).map(|node| node.version);
            let version = known.unwrap_or_else(KeelVersion::own);
            registry.see(&subject.node, &address, version, now())?;
            registry.confirm(&subject.node, &subject.key, now())
        });
        let _ = seen.await;
    }

    fn admitted(&self, subject: Subject) -> Result<Admitted, String> {
        let removed = || format!("node {} was removed from the pool", subject.node);
        let roster = self.registrar.roster();
        let registry = roster.registry();
        let node = registry.node(&subject.node).ok_or_else(removed)?.name.clone();
        let until = Box::pin(async move {
            roster.removed(&subject).await;
            match roster.registry().node(&subject.node) {
                Some(_) => "the node has a newer key".to_owned(),
                None => "it was removed from the pool".to_owned(),
            }
        });
        Ok(Admitted { node, until })
    }
}

#[async_trait]
impl Gate for Reception {
    async fn admit(&self, peer: &Peer<'_>) -> Result<Admitted, String> {
        match self.identify(peer)? {
            PeerIdentity::Node(subject) => {
                let admitted = self.admitted(subject.clone())?;
                self.note(&subject, peer.address.ip()).await;
                (self.tell)(Visit::Arrived(admitted.node.clone(), peer.address.ip()));
                Ok(admitted)
            }
            PeerIdentity::Expired(subject) => Err(format!(
                "the certificate of node {} has expired: it may only renew",
                subject.node
            )),
            PeerIdentity::Stranger => {
                Err("the client has no certificate: it may only join".to_owned())
            }
            PeerIdentity::Standby => {
                Err("the client is a standby: it may only hand on commands".to_owned())
            }
        }
    }

    fn is_standby(&self, peer: &Peer<'_>) -> bool {
        self.identify(peer) == Ok(PeerIdentity::Standby)
    }

    async fn answer(&self, peer: &Peer<'_>, question: &[u8]) -> Option<Vec<u8>> {
        let identity = self.identify(peer).ok()?;
        let answer = match serde_json::from_slice(question).ok()? {
            PoolRequest::Join(request) => {
                let outcome = self.registrar.join(&request, peer.address.ip(), now()).await;
                if let Ok(reply) = &outcome.answer {
                    (self.tell)(Visit::Joined(reply.name.clone(), peer.address.ip()));
                }
                outcome.alert.into_iter().for_each(|misuse| (self.tell)(Visit::Misuse(misuse)));
                serde_json::to_vec(&outcome.answer)
            }
            PoolRequest::Renew(request) => {
                serde_json::to_vec(&self.registrar.renew(&identity, &request, now()).await)
            }
            PoolRequest::Confirm => {
                serde_json::to_vec(&self.registrar.confirm(&identity, now()).await)
            }
        };
        answer.ok()
    }

    fn turned_away(&self, address: SocketAddr, why: Turned) {
        (self.tell)(Visit::TurnedAway(address, why));
    }

    fn greeted(&self, node: &NodeName, hello: &Hello) {
        let (registrar, node, advertised) = (self.registrar.clone(), node.clone(), hello.advertise);
        // A disk that does not take that keeps nobody out, and nobody waits for it.
        tokio::spawn(async move {
            let _ = registrar.change(|registry| registry.advertise(&node, advertised)).await;
        });
    }

    fn left(&self, node: &NodeName, why: Away) {
        (self.tell)(Visit::Left(node.clone(), why));
    }
}
