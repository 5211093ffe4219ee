//! The root's own table: forwarding, isolation, masquerade, and the way to published ports.
//!
//! All of it is static but for two sets that list networks; who is behind a port is
//! [`super::ports`]'s. Bridges are told by the prefix of their name, which carries the root's key.
//!
//! A published port is reached by five callers: from outside and from other containers by
//! `prerouting`, from the host (its own addresses and 127.0.0.1) by `output`; one that lands on
//! its own network again needs `postrouting`'s masquerade, and so does 127.0.0.1.
//!
//! # Invariants
//! - An accept here ends this table's say only; a drop is final everywhere.
//! - Rules are known again by their comments, in their order, and must then do what they did.

use super::NetworkFinding;
use super::nft::batch::{Batch, Element};
use super::nft::expr::{
    Ct, Expr, Meta, ROUTE_LOCAL, Reg, RuleVerdict, STATE_ESTABLISHED_RELATED, STATUS_DNAT,
};
use super::nft::read::{self, ChainSeen, RuleSeen};
use super::nft::{Base, Family, Hook, KeyPart, Rule, Set, interface_key};
use crate::root::layout::Layout;
use keel_engine::FieldPath;
use std::collections::{BTreeMap, BTreeSet};
use std::io;

/// Pairs of a network's bridge with itself: traffic within one network.
const SAME: Set =
    Set { name: "same", key: &[KeyPart::Interface, KeyPart::Interface], verdicts: false };
/// Bridges without a way out.
const INTERNAL: Set = Set { name: "internal", key: &[KeyPart::Interface], verdicts: false };
/// Ports published on every address of the host.
pub(super) const PORTS: Set =
    Set { name: "ports", key: &[KeyPart::Protocol, KeyPart::Service], verdicts: true };
/// Ports published on one address.
pub(super) const HOST_PORTS: Set = Set {
    name: "host_ports",
    key: &[KeyPart::Ipv4Address, KeyPart::Protocol, KeyPart::Service],
    verdicts: true,
};
const SETS: [Set; 4] = [SAME, INTERNAL, PORTS, HOST_PORTS];

/// A network whose packets this host forwards.
#[derive(Debug, Clone)]
pub(super) struct Forwarded {
    /// The link by which they come and go.
    pub link: String,
    /// No way out.
    pub internal: bool,
}

/// One chain as it shall be.
struct Chain {
    name: &'static str,
    base: Option<Base>,
    rules: Vec<Rule>,
}

impl Chain {
    /// As a finding names it.
    fn path(&self) -> FieldPath {
        FieldPath::FirewallChain(self.name.to_owned())
    }
}

/// What every bridge's name of this root begins with.
pub(super) fn bridge_prefix(layout: &Layout) -> String {
    format!("kl{}-", layout.key())
}

fn chains(layout: &Layout) -> Vec<Chain> {
    let ours = bridge_prefix(layout);
    let base = |kind, hook, priority| Some(Base { kind, hook, priority });
    vec![
        Chain { name: "publish", base: None, rules: publish() },
        Chain { name: "raw", base: base("filter", Hook::Prerouting, -300), rules: raw() },
        Chain { name: "prerouting", base: base("nat", Hook::Prerouting, -100), rules: local() },
        Chain { name: "output", base: base("nat", Hook::Output, -100), rules: local() },
        Chain { name: "forward", base: base("filter", Hook::Forward, 0), rules: forward(&ours) },
        Chain {
            name: "postrouting",
            base: base("nat", Hook::Postrouting, 100),
            rules: postrouting(&ours),
        },
    ]
}

/// `route_localnet` on our bridges and a translated destination would let neighbours reach what
/// is published on 127.0.0.1 only; and a source in it that a container made up would be believed.
fn raw() -> Vec<Rule> {
    let rule = |comment, offset| {
        let mut exprs = vec![Expr::Meta(Meta::InputName, Reg::A)];
        exprs.push(Expr::NotEqual(Reg::A, interface_key("lo").to_vec()));
        exprs.extend(loopback(offset));
        verdict(comment, exprs, RuleVerdict::Drop)
    };
    vec![rule("127.0.0.0/8 from elsewhere", 16), rule("elsewhere, as from 127.0.0.0/8", 12)]
}

/// The address at this offset of the header is in 127.0.0.0/8.
fn loopback(offset: u32) -> [Expr; 3] {
    [
        Expr::NetworkHeader(offset, 4, Reg::A),
        Expr::Mask(Reg::A, vec![255, 0, 0, 0]),
        Expr::Equal(Reg::A, vec![127, 0, 0, 0]),
    ]
}

fn local() -> Vec<Rule> {
    let exprs = vec![
        Expr::DestinationKind(Reg::A),
        Expr::Equal(Reg::A, ROUTE_LOCAL.to_ne_bytes().to_vec()),
        Expr::To(RuleVerdict::Jump("publish".into())),
    ];
    vec![Rule::new("to an address of this host", exprs)]
}

fn publish() -> Vec<Rule> {
    let one = vec![
        Expr::NetworkHeader(16, 4, Reg::A),
        Expr::Meta(Meta::Protocol, Reg::B),
        Expr::TransportHeader(2, 2, Reg::C),
        Expr::VerdictMap(Reg::A, HOST_PORTS.name),
    ];
    let every = vec![
        Expr::Meta(Meta::Protocol, Reg::A),
        Expr::TransportHeader(2, 2, Reg::B),
        Expr::VerdictMap(Reg::A, PORTS.name),
    ];
    vec![Rule::new("published on one address", one), Rule::new("published on all", every)]
}

fn forward(ours: &str) -> Vec<Rule> {
    let internal = |side| vec![Expr::Meta(side, Reg::A), Expr::Member(Reg::A, INTERNAL.name)];
    let mut rules = vec![
        verdict("within a network", within(), RuleVerdict::Accept),
        verdict("internal: no way out", internal(Meta::InputName), RuleVerdict::Drop),
        verdict("internal: no way in", internal(Meta::OutputName), RuleVerdict::Drop),
        verdict("answers", bits(Ct::State, STATE_ESTABLISHED_RELATED), RuleVerdict::Accept),
        verdict("published ports", bits(Ct::Status, STATUS_DNAT), RuleVerdict::Accept),
        verdict("unpublished ports", named(Meta::OutputName, ours), RuleVerdict::Drop),
    ];
    for (comment, other) in foreign_bridges() {
        let both = [named(Meta::InputName, ours), other].concat();
        rules.push(verdict(comment, both, RuleVerdict::Drop));
    }
    rules
}

/// Bridges of Docker and Podman: our accept rules in their chains shall not open them to us.
/// Docker's networks are `br-` and twelve digits, so a `br-lan` is not meant.
fn foreign_bridges() -> [(&'static str, Vec<Expr>); 3] {
    let mut docker = named(Meta::OutputName, "br-");
    docker.push(Expr::Mask(Reg::A, [vec![0; 14], vec![255, 0]].concat()));
    docker.push(Expr::NotEqual(Reg::A, vec![0; 16]));
    let exactly = |name| {
        vec![Expr::Meta(Meta::OutputName, Reg::A), Expr::Equal(Reg::A, interface_key(name).into())]
    };
    [
        ("not into docker0", exactly("docker0")),
        ("not into Docker's networks", docker),
        ("not into Podman's networks", named(Meta::OutputName, "podman")),
    ]
}

/// A packet that came from no interface is the host's own (127.0.0.1 means nothing in a network),
/// or, with br_netfilter, one that the bridge itself turns back into the network it came from.
fn postrouting(ours: &str) -> Vec<Rule> {
    let masquerade = |comment: &str, mut exprs: Vec<Expr>| {
        exprs.push(Expr::Masquerade);
        Rule::new(comment, exprs)
    };
    let nowhere =
        [Expr::Meta(Meta::InputName, Reg::A), Expr::Equal(Reg::A, interface_key("").to_vec())];
    let dnat = || bits(Ct::Status, STATUS_DNAT);
    let local = [nowhere.to_vec(), named(Meta::OutputName, ours), dnat()].concat();
    let hairpin = [within(), dnat()].concat();
    vec![
        masquerade("from this host, or bridged back", local),
        masquerade("back into its own network", hairpin),
        verdict("within a network", within(), RuleVerdict::Accept),
        masquerade("out of a network", named(Meta::InputName, ours)),
    ]
}

fn within() -> Vec<Expr> {
    vec![
        Expr::Meta(Meta::InputName, Reg::A),
        Expr::Meta(Meta::OutputName, Reg::AFTER_NAME),
        Expr::Member(Reg::A, SAME.name),
    ]
}

/// The interface's name begins with this.
pub(super) fn named(side: Meta, prefix: &str) -> Vec<Expr> {
    vec![Expr::Meta(side, Reg::A), Expr::Equal(Reg::A, prefix.into())]
}

fn bits(key: Ct, mask: u32) -> Vec<Expr> {
    vec![
        Expr::Ct(key, Reg::A),
        Expr::Mask(Reg::A, mask.to_ne_bytes().to_vec()),
        Expr::NotEqual(Reg::A, vec![0; 4]),
    ]
}

fn verdict(comment: &str, mut exprs: Vec<Expr>, to: RuleVerdict) -> Rule {
    exprs.push(Expr::To(to));
    Rule::new(comment, exprs)
}

/// The elements of the sets that list networks.
fn listed(networks: &[Forwarded]) -> [(Set, Vec<Element>); 2] {
    let same = networks.iter().map(|network| (key_in(&SAME, network), None));
    let internal = networks.iter().filter(|network| network.internal);
    let internal = internal.map(|network| (key_in(&INTERNAL, network), None));
    [(SAME, same.collect()), (INTERNAL, internal.collect())]
}

/// A network as one of these sets lists it: its link in each part of the key.
fn key_in(set: &Set, network: &Forwarded) -> Vec<u8> {
    interface_key(&network.link).repeat(set.key.len())
}

/// Makes the table as it shall be for these networks; touches nothing if it is. Port tables keep
/// their elements.
pub(super) fn ensure(
    layout: &Layout,
    chains: &[ChainSeen],
    networks: &[Forwarded],
) -> io::Result<()> {
    if differences(layout, chains, networks)?.is_empty() { Ok(()) } else { write(layout, networks) }
}

/// The same where nothing is known to have become of the other networks: of a table that is whole, only what
/// is about this one is looked at, however many there are.
pub(super) fn ensure_one(
    layout: &Layout,
    chains: &[ChainSeen],
    network: &Forwarded,
    others: impl FnOnce() -> Vec<Forwarded>,
) -> io::Result<()> {
    if structure(layout, chains)?.is_empty() {
        return list_one(layout, network, true);
    }
    let mut all = others();
    all.push(network.clone());
    write(layout, &all)
}

/// Forgets a network; the others stay as they are.
pub(super) fn forget(layout: &Layout, network: &Forwarded) -> io::Result<()> {
    list_one(layout, network, false)
}

/// Puts a network into the sets that it belongs to, and takes it from the others.
fn list_one(layout: &Layout, network: &Forwarded, is_there: bool) -> io::Result<()> {
    let table = layout.table();
    let mut batch = Batch::new(Family::Ip, &table);
    let mine = listed(std::slice::from_ref(network)).map(|(set, own)| (set, !own.is_empty()));
    for (set, belongs) in mine {
        let element = (key_in(&set, network), None);
        let wanted = belongs && is_there;
        match (wanted, read::has_element(Family::Ip, &table, set.name, &element.0)?) {
            (true, false) => batch.elements(set.name, &[element]),
            (false, true) => batch.delete_elements(set.name, &[element]),
            _ => &mut batch,
        };
    }
    batch.commit()
}

fn write(layout: &Layout, networks: &[Forwarded]) -> io::Result<()> {
    let mut batch = Batch::new(Family::Ip, layout.table());
    batch.table();
    for set in &SETS {
        batch.set(set);
    }
    for (set, elements) in listed(networks) {
        batch.flush_set(set.name).elements(set.name, &elements);
    }
    for chain in chains(layout) {
        batch.chain(chain.name, chain.base).flush_chain(chain.name);
        batch.append(chain.name, &chain.rules);
    }
    batch.commit()
}

/// Whether the table is there.
pub(super) fn exists(layout: &Layout) -> io::Result<bool> {
    read::has_table(Family::Ip, &layout.table())
}

/// Deletes the table.
pub(super) fn remove(layout: &Layout) -> io::Result<()> {
    Batch::new(Family::Ip, layout.table()).delete_table().commit()
}

/// What of the table is not as it shall be, the elements of port tables apart.
pub(super) fn differences(
    layout: &Layout,
    chains: &[ChainSeen],
    networks: &[Forwarded],
) -> io::Result<Vec<NetworkFinding>> {
    let mut findings = structure(layout, chains)?;
    if !findings.iter().any(|finding| finding.what == FieldPath::FirewallTable) {
        findings.extend(compare_sets(&layout.table(), networks)?);
    }
    Ok(findings)
}

/// The same of all that is there however many networks there are. `chains` are those of this host.
fn structure(layout: &Layout, chains: &[ChainSeen]) -> io::Result<Vec<NetworkFinding>> {
    let table = layout.table();
    let seen: BTreeMap<_, _> = chains
        .iter()
        .filter(|chain| chain.family == Family::Ip && chain.table == table)
        .map(|chain| (chain.name.as_str(), chain))
        .collect();
    if seen.is_empty() {
        return Ok(vec![finding(FieldPath::FirewallTable, "missing")]);
    }
    let mut findings = Vec::new();
    for chain in self::chains(layout) {
        let expected = chain.base.map(|base| (base.hook as u32, base.priority));
        match seen.get(chain.name) {
            None => findings.push(finding(chain.path(), "missing")),
            Some(there) if there.hook != expected || there.drops => {
                findings.push(finding(chain.path(), "changed"));
            }
            Some(_) => findings
                .extend(compare_rules(&chain, &read::rules_of(Family::Ip, &table, chain.name)?)),
        }
    }
    let there: BTreeSet<String> = read::sets(Family::Ip, &table)?.into_iter().collect();
    let missing = SETS.iter().filter(|set| !there.contains(set.name));
    findings
        .extend(missing.map(|set| finding(FieldPath::FirewallSet(set.name.to_owned()), "missing")));
    Ok(findings)
}

fn compare_rules(chain: &Chain, seen: &[RuleSeen]) -> Vec<NetworkFinding> {
    let there: Vec<&str> = seen.iter().map(|rule| rule.comment.as_str()).collect();
    let wanted: Vec<&str> = chain.rules.iter().map(|rule| rule.comment.as_str()).collect();
    let name = |comment: &str| FieldPath::FirewallRule {
        rule: comment.to_owned(),
        chain: chain.name.to_owned(),
    };
    if there == wanted {
        let pairs = chain.rules.iter().zip(seen);
        let changed = pairs.filter(|(rule, seen)| !rule.is(seen));
        return changed.map(|(rule, _)| finding(name(&rule.comment), "changed")).collect();
    }
    let missing = wanted.iter().filter(|comment| !there.contains(comment));
    let mut findings: Vec<_> = missing.map(|comment| finding(name(comment), "missing")).collect();
    if findings.is_empty() {
        findings.push(finding(chain.path(), "changed"));
    }
    findings
}

fn compare_sets(table: &str, networks: &[Forwarded]) -> io::Result<Vec<NetworkFinding>> {
    let there: BTreeSet<String> = read::sets(Family::Ip, table)?.into_iter().collect();
    let mut findings = Vec::new();
    for (set, elements) in listed(networks) {
        let seen = read::elements(Family::Ip, table, set.name)?;
        let wanted: BTreeSet<_> = elements.into_iter().map(|(key, _)| key).collect();
        if there.contains(set.name) && !seen.keys().eq(wanted.iter()) {
            findings.push(finding(FieldPath::FirewallElements(set.name.to_owned()), "changed"));
        }
    }
    Ok(findings)
}

pub(super) fn finding(what: FieldPath, observed: &str) -> NetworkFinding {
    NetworkFinding {
        network: None,
        tasks: Vec::new(),
        what,
        expected: "present".into(),
        observed: observed.into(),
    }
}
