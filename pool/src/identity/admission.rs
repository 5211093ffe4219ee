//! Whether a machine may join: a pure function of the record, the request and what surrounds them.
//!
//! # Invariants
//! - A token is used up by the change that adds the node, and bound to the key that it was used for.
//! - The same key gets the same answer again while the token holds: a lost reply costs no token. Any other key is
//!   refused, and that is an alert.
//! - Who does not have the secret learns nothing of the token.

use super::join::{JoinError, JoinRequest};
use super::keel_version::KeelVersion;
use super::node::{NodeKey, NodeRecord, NodeTerms, check_name};
use super::node_id::NodeId;
use super::pin::Pin;
use super::registry::Registry;
use super::secret::SecretDigest;
use super::token_record::{TokenRecord, TokenUse};
use keel_engine::NodeName;

/// What surrounds a request.
#[derive(Debug, Clone)]
pub(super) struct Circumstances<'a> {
    /// The controller's clock.
    pub now: u64,
    /// Where the request came from.
    pub address: &'a str,
    /// The controller's version.
    pub version: KeelVersion,
    /// The pin of the pool's authority.
    pub pool: Pin,
    /// The controller's own node, whose name is taken.
    pub home: &'a NodeName,
}

/// What becomes of a request that is granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission<'a> {
    /// This node came of the same request before: it gets its answer again.
    Again(&'a NodeRecord),
    /// A node is to be added.
    New,
}

/// Decides about a request.
pub(super) fn decide<'a>(
    registry: &'a Registry,
    request: &JoinRequest,
    around: &Circumstances<'_>,
) -> Result<Admission<'a>, JoinError> {
    check_form(request)?;
    if request.pool != around.pool {
        return Err(JoinError::WrongPool);
    }
    let token = authentic(registry, request)?;
    check_token(token, request, around)?;
    if let Some(again) = earlier(registry, token, request)? {
        return Ok(Admission::Again(again));
    }
    if let Some(join) = token.joins.last().filter(|_| token.is_used_up()) {
        return Err(used(join));
    }
    check_machine(request, around)?;
    check_unique(registry, request, around)?;
    Ok(Admission::New)
}

fn check_form(request: &JoinRequest) -> Result<(), JoinError> {
    let malformed = |what: String| JoinError::Malformed { what };
    check_name(&request.name).map_err(|error| malformed(error.to_string()))?;
    if request.is_proven() {
        return Ok(());
    }
    Err(malformed("its key did not sign it".into()))
}

/// The token, for who has its secret. It takes as long where there is no such token.
fn authentic<'a>(
    registry: &'a Registry,
    request: &JoinRequest,
) -> Result<&'a TokenRecord, JoinError> {
    let token = registry.token(&request.token);
    let nobody = SecretDigest::of_nothing();
    let is_right = token.map_or(&nobody, |token| &token.secret).matches(&request.secret);
    token.filter(|_| is_right).ok_or(JoinError::Unknown)
}

fn check_token(
    token: &TokenRecord,
    request: &JoinRequest,
    around: &Circumstances<'_>,
) -> Result<(), JoinError> {
    if token.pool != around.pool {
        return Err(JoinError::WrongPool);
    }
    if let Some(at) = token.revoked {
        return Err(JoinError::Revoked { at });
    }
    if around.now >= token.expires {
        let (expired, controller, node) = (token.expires, around.now, request.clock);
        return Err(JoinError::Expired { expired, controller, node });
    }
    Ok(())
}

/// The node that this request made before. A node that was removed since does not come back with it.
fn earlier<'a>(
    registry: &'a Registry,
    token: &TokenRecord,
    request: &JoinRequest,
) -> Result<Option<&'a NodeRecord>, JoinError> {
    let Some(join) = token.join_of(&request.key) else { return Ok(None) };
    let node = join.node.as_ref().and_then(|id| registry.node(id));
    match node.filter(|node| node.has(&request.key)) {
        Some(node) => Ok(Some(node)),
        None => Err(used(join)),
    }
}

fn used(join: &TokenUse) -> JoinError {
    JoinError::Used { at: join.at, name: join.name.clone(), address: join.address.clone() }
}

fn check_machine(request: &JoinRequest, around: &Circumstances<'_>) -> Result<(), JoinError> {
    if !request.version.is_near(around.version) {
        return Err(JoinError::Version { controller: around.version, node: request.version });
    }
    Ok(())
}

fn check_unique(
    registry: &Registry,
    request: &JoinRequest,
    around: &Circumstances<'_>,
) -> Result<(), JoinError> {
    if let Some(owner) = registry.owner(&request.key) {
        return Err(JoinError::Joined { name: owner.name.clone() });
    }
    if request.name == *around.home || registry.named(&request.name).is_some() {
        return Err(JoinError::DuplicateName { name: request.name.clone() });
    }
    Ok(())
}

impl Registry {
    /// Adds the node of a request that was granted, and counts the token's use. What the node may do is the
    /// token's word, what it is called the controller's.
    pub(super) fn admit(
        &mut self,
        request: &JoinRequest,
        around: &Circumstances<'_>,
        id: NodeId,
        key: NodeKey,
    ) -> Result<(), JoinError> {
        let token = self.token_mut(&request.token).ok_or(JoinError::Unknown)?;
        token.joins.push(use_of(request, around, Some(id.clone())));
        let (role, labels) = (token.role, token.labels.clone());
        self.add_node(NodeRecord {
            id,
            name: request.name.clone(),
            role,
            terms: NodeTerms { labels, ..NodeTerms::default() },
            keys: vec![key],
            addresses: vec![around.address.to_owned()],
            advertised: None,
            version: request.version,
            joined: around.now,
            seen: around.now,
            dead: None,
            unheard: false,
        });
        Ok(())
    }
}

/// What is noted of a request.
pub(super) fn use_of(
    request: &JoinRequest,
    around: &Circumstances<'_>,
    node: Option<NodeId>,
) -> TokenUse {
    let (name, key) = (request.name.clone(), request.key.clone());
    TokenUse { node, name, key, address: around.address.to_owned(), at: around.now }
}

#[cfg(test)]
mod tests {
    use super::super::authority::Authority;
    use super::super::life::{HOUR, Life};
    use super::super::private_key::PrivateKey;
    use super::super::token::Token;
    use super::super::token_record::TokenSpec;
    use super::*;
    use std::sync::LazyLock;

    const NOW: u64 = 1_800_000_000_000;
    const ADDRESS: &str = "192.0.2.7";

    static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| Authority::create(NOW).unwrap());
    static HOME: LazyLock<NodeName> = LazyLock::new(|| "home".into());

    fn around(now: u64) -> Circumstances<'static> {
        let (version, pool) = (version("1.4.0"), AUTHORITY.pin());
        Circumstances { now, address: ADDRESS, version, pool, home: &HOME }
    }

    fn version(text: &str) -> KeelVersion {
        KeelVersion::parse(text).unwrap()
    }

    /// A registry with one token for one node.
    fn registry(uses: u32) -> (Registry, Token) {
        let mut registry = Registry::default();
        let labels = [("zone".to_owned(), "a".to_owned())].into();
        let uses = uses.try_into().unwrap();
        let spec = TokenSpec { uses, labels, ..TokenSpec::by("ann") };
        let (token, record) = spec.make(AUTHORITY.pin(), [7; 25], NOW);
        registry.add_token(record);
        (registry, token)
    }

    fn request(token: &Token, key: &PrivateKey, name: &str) -> JoinRequest {
        JoinRequest::new(token, key, name.into(), version("1.4.9"), NOW).unwrap()
    }

    fn key() -> PrivateKey {
        PrivateKey::generate().unwrap()
    }

    fn admit(registry: &mut Registry, request: &JoinRequest, id: u8) -> NodeId {
        assert_eq!(decide(registry, request, &around(NOW)), Ok(Admission::New));
        let (id, life) = (NodeId::new([id; 10]), Life::of_node(NOW));
        let role = super::super::certificate::Role::Agent;
        let certificate = AUTHORITY.certify_node(&id, role, &request.key, life).unwrap();
        let key = NodeKey::new(request.key.clone(), certificate, life);
        registry.admit(request, &around(NOW), id.clone(), key).unwrap();
        id
    }

    fn error(registry: &Registry, request: &JoinRequest, now: u64) -> JoinError {
        decide(registry, request, &around(now)).expect_err("it is refused")
    }

    #[test]
    fn the_node_is_what_the_controller_and_the_token_say() {
        let (mut registry, token) = registry(1);
        let request = request(&token, &key(), "web-1");
        let id = admit(&mut registry, &request, 1);
        let node = registry.node(&id).unwrap();
        assert_eq!((node.name.as_str(), node.terms.labels["zone"].as_str()), ("web-1", "a"));
        assert_eq!((node.joined, &node.addresses[..]), (NOW, &[ADDRESS.to_owned()][..]));
        assert!(registry.token(&token.id).unwrap().is_used_up());
    }

    #[test]
    fn the_same_key_gets_the_same_node_again_and_another_is_refused() {
        let (mut registry, token) = registry(1);
        let key = key();
        let first = request(&token, &key, "web-1");
        let id = admit(&mut registry, &first, 1);
        let again = request(&token, &key, "web-1");
        let Ok(Admission::Again(node)) = decide(&registry, &again, &around(NOW + HOUR - 1)) else {
            panic!("it is answered again")
        };
        assert_eq!(node.id, id);
        let other = request(&token, &PrivateKey::generate().unwrap(), "web-2");
        let used = JoinError::Used { at: NOW, name: "web-1".into(), address: ADDRESS.into() };
        assert_eq!(error(&registry, &other, NOW), used);
        // The machine was removed: its old request does not bring it back.
        registry.remove(&"web-1".into(), false, false).unwrap();
        assert_eq!(error(&registry, &again, NOW), used);
    }

    #[test]
    fn a_token_for_two_is_used_up_by_two() {
        let (mut registry, token) = registry(2);
        admit(&mut registry, &request(&token, &key(), "web-1"), 1);
        admit(&mut registry, &request(&token, &key(), "web-2"), 2);
        let third = error(&registry, &request(&token, &key(), "web-3"), NOW);
        assert!(matches!(third, JoinError::Used { name, .. } if name.as_str() == "web-2"));
    }

    #[test]
    fn who_has_no_secret_learns_nothing() {
        let (mut registry, token) = registry(1);
        registry.revoke_token(&token.id, NOW).unwrap();
        let mut guess = token.clone();
        guess.secret = super::super::secret::TokenSecret::new([9; 20]);
        assert_eq!(
            error(&registry, &request(&guess, &key(), "a"), NOW + 2 * HOUR),
            JoinError::Unknown
        );
        let nobody = Token { id: super::super::token::TokenId::new([1; 5]), ..token };
        assert_eq!(error(&registry, &request(&nobody, &key(), "a"), NOW), JoinError::Unknown);
    }

    #[test]
    fn tokens_end() {
        let (mut registry, token) = registry(1);
        let request = request(&token, &key(), "a");
        let mut in_time = request.clone();
        in_time.clock = NOW + HOUR - 1;
        assert_eq!(decide(&registry, &in_time, &around(NOW + HOUR - 1)), Ok(Admission::New));
        let (expired, controller, node) = (NOW + HOUR, NOW + HOUR, NOW);
        let late = error(&registry, &request, NOW + HOUR);
        assert_eq!(late, JoinError::Expired { expired, controller, node });
        let text = late.to_string();
        for time in [
            "expired at 2027-01-15T09:00:00Z",
            "says 2027-01-15T09:00:00Z, this machine's 2027-01-15T08:00:00Z",
        ] {
            assert!(text.contains(time), "{text}");
        }
        registry.revoke_token(&token.id, NOW + 5).unwrap();
        assert_eq!(error(&registry, &request, NOW + 9), JoinError::Revoked { at: NOW + 5 });
    }

    #[test]
    fn a_token_of_another_authority_says_so() {
        let (mut registry, mut token) = registry(1);
        let (old, record) = TokenSpec::by("ann").make(Pin::of(b"an old one"), [8; 25], NOW);
        registry.add_token(record);
        assert_eq!(error(&registry, &request(&old, &key(), "a"), NOW), JoinError::WrongPool);
        let old_with_new_pin = Token { pin: AUTHORITY.pin(), ..old };
        let request_of_it = request(&old_with_new_pin, &key(), "a");
        assert_eq!(error(&registry, &request_of_it, NOW), JoinError::WrongPool);
        token.pin = Pin::of(b"another");
        assert_eq!(error(&registry, &request(&token, &key(), "a"), NOW), JoinError::WrongPool);
    }

    #[test]
    fn names_are_unique_and_may_not_be_the_controllers() {
        let (mut registry, token) = registry(9);
        admit(&mut registry, &request(&token, &key(), "web-1"), 1);
        for name in ["web-1", "home"] {
            let found = error(&registry, &request(&token, &key(), name), NOW);
            assert_eq!(found, JoinError::DuplicateName { name: name.into() });
            assert!(found.to_string().contains("--name"));
        }
        let bad = error(&registry, &request(&token, &key(), "../etc"), NOW);
        assert!(
            matches!(&bad, JoinError::Malformed { what } if what.contains("`../etc`")),
            "{bad}"
        );
    }

    #[test]
    fn a_machine_that_belongs_to_the_pool_is_not_added_twice() {
        let (mut registry, token) = registry(1);
        let key = key();
        admit(&mut registry, &request(&token, &key, "web-1"), 1);
        let (second, record) = TokenSpec::by("ann").make(AUTHORITY.pin(), [9; 25], NOW);
        registry.add_token(record);
        let found = error(&registry, &request(&second, &key, "web-2"), NOW);
        assert_eq!(found, JoinError::Joined { name: "web-1".into() });
    }

    #[test]
    fn a_version_that_is_too_far_from_the_controllers_is_named_and_a_clock_may_say_anything() {
        let (registry, token) = registry(1);
        let mut asked = request(&token, &key(), "a");
        asked.version = version("1.6.0");
        let found = error(&registry, &asked, NOW);
        assert_eq!(
            found,
            JoinError::Version { controller: version("1.4.0"), node: version("1.6.0") }
        );
        let mut asked = request(&token, &key(), "a");
        for clock in [0, NOW, u64::MAX] {
            asked.clock = clock;
            assert_eq!(decide(&registry, &asked, &around(NOW)), Ok(Admission::New), "{clock}");
        }
    }

    #[test]
    fn only_who_has_the_key_can_ask_for_it() {
        let (registry, token) = registry(1);
        let mut stolen = request(&token, &key(), "a");
        stolen.key = key().public();
        assert!(matches!(error(&registry, &stolen, NOW), JoinError::Malformed { .. }));
        // A proof is good for the token that it was made for.
        let key = key();
        let mut other = request(&token, &key, "a");
        let elsewhere = Token { id: super::super::token::TokenId::new([3; 5]), ..token };
        other.proof = request(&elsewhere, &key, "a").proof;
        assert!(matches!(error(&registry, &other, NOW), JoinError::Malformed { .. }));
    }

    #[test]
    fn requests_travel_and_show_no_secret() {
        let (_, token) = registry(1);
        let asked = request(&token, &key(), "a");
        let text = serde_json::to_string(&asked).unwrap();
        let back: JoinRequest = serde_json::from_str(&text).unwrap();
        assert!(back.is_proven() && back.secret.digest() == token.secret.digest());
        assert!(!format!("{asked:?}").contains(&token.secret.reveal()));
        let refused = JoinError::Used { at: NOW, name: "web".into(), address: ADDRESS.into() };
        let text = serde_json::to_string(&refused).unwrap();
        assert_eq!(serde_json::from_str::<JoinError>(&text).unwrap(), refused);
    }
}
