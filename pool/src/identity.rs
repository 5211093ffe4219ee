//! Who may belong to a pool: tokens to join with, the pool's certificate authority, the nodes on record, and the
//! TLS configurations that hold connections to them.
//!
//! # Invariants
//! - A secret is sent only over a connection whose server proved the key that the token pins.
//! - A name in a request is a proposal: the controller gives the node's id, the token gives its role, and only the
//!   public key is taken.
//! - Whether a node belongs to the pool is what its record says, at each handshake and while a connection lives. A
//!   certificate alone proves nothing.
//! - An authority is replaced while nodes are away: the root before is dropped once every node has a certificate of the
//!   new one.
//! - No secret and no private key is in `Debug` output or an error.

mod admission;
mod alphabet;
mod authority;
mod authority_form;
mod authority_ledger;
mod authority_record;
mod certificate;
mod chain;
mod controller_key;
mod dialing;
mod join;
mod join_attempt;
mod keel_version;
mod keyring;
mod ledger;
mod life;
mod node;
mod node_id;
mod node_identity;
mod node_verifier;
mod pem_file;
mod pin;
mod pinned_server;
mod pool_authority;
mod pool_record;
mod private_key;
mod public_key;
mod registrar;
mod registry;
mod renewal;
mod roster;
mod rotation;
mod sealing_key;
mod secret;
mod standby;
mod throttle;
mod token;
mod token_record;

pub use authority::Authority;
pub use authority_form::{is_one_pool, sealed_by};
pub use authority_ledger::{AuthorityLedger, RotationError};
pub use authority_record::{AuthorityError, check_unlocked, converted};
pub use certificate::{CONTROLLER_NAME, Certificate, Role, Subject};
pub use controller_key::ControllerKey;
pub use dialing::{IdentityFailure, controller_name, to_join};
pub use join::{JoinError, JoinReply, JoinRequest};
pub use join_attempt::{JoinAttempt, JoinFailure, JoinStep};
pub use keel_version::KeelVersion;
pub use keyring::{Keyring, LockedError, SealedBy};
pub use ledger::LedgerError;
pub use life::{Life, renewal_retry};
pub use node::{BadNodeName, NodeKey, NodeRecord, NodeTerms, check_name};
pub use node_id::NodeId;
pub use node_identity::{AgentFile, IdentityError, NodeIdentity};
pub use node_verifier::{NodeVerifier, NodeVerifierError, PeerIdentity};
pub use pem_file::KeyFileError;
pub use pin::Pin;
pub use pinned_server::PinError;
pub use pool_authority::{PoolAuthority, PresentAuthority, Rotation};
pub use pool_record::{PoolRecord, PoolRecordError};
pub use private_key::{KeyError, PrivateKey};
pub use public_key::{NotAKey, PublicKey};
pub use registrar::{JoinOutcome, Registrar, RegistrarError, TokenMisuse};
pub use registry::{Registry, RegistryError, RegistryFormError};
pub use renewal::{RenewError, RenewReply, RenewRequest};
pub use roster::Roster;
pub use rotation::{RotationProgress, next_batch, patience};
pub use sealing_key::SealingError;
pub use secret::{SecretDigest, TokenSecret};
pub use standby::{StandbyError, as_standby};
pub use throttle::Throttle;
pub use token::{Token, TokenError, TokenId, TokenPart};
pub use token_record::{TokenRecord, TokenSpec, TokenUse};
