//! Reads tables back.

use super::Family;
use super::wire::{Attributes, list, message, number, parse, text};
use crate::network::netlink::{Answer, Netlink, is_missing};
use netlink_packet_core::{NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST};
use netlink_sys::protocols::NETLINK_NETFILTER;
use std::collections::BTreeMap;
use std::io;

const GET_TABLE: u16 = 1;
const GET_CHAIN: u16 = 4;
const GET_RULE: u16 = 7;
const GET_SET: u16 = 10;
const GET_ELEMENT: u16 = 13;

/// A chain that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChainSeen {
    pub family: Family,
    pub table: String,
    pub name: String,
    /// Hook and priority of a base chain.
    pub hook: Option<(u32, i32)>,
    /// It drops what no rule decides.
    pub drops: bool,
}

/// A rule that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RuleSeen {
    pub chain: String,
    pub handle: u64,
    /// Empty, where there is none.
    pub comment: String,
    /// What it does, as the kernel has it.
    pub exprs: Vec<u8>,
}

fn dump(kind: u16, family: Option<Family>, body: &Attributes) -> io::Result<Vec<Answer>> {
    loop {
        let mut netlink = Netlink::open(NETLINK_NETFILTER)?;
        let flags = NLM_F_REQUEST | NLM_F_DUMP;
        let family = family.map_or(0, |family| family as u8);
        let sequence = netlink.sequences(1);
        match netlink.ask(&message(kind, family, flags, sequence, &body.0)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if is_missing(&error) => return Ok(Vec::new()),
            answer => return answer,
        }
    }
}

/// One thing, by its name; `false` where it is not there.
fn is_there(kind: u16, family: Family, body: &Attributes) -> io::Result<bool> {
    let mut netlink = Netlink::open(NETLINK_NETFILTER)?;
    let (flags, sequence) = (NLM_F_REQUEST | NLM_F_ACK, netlink.sequences(1));
    match netlink.ask(&message(kind, family as u8, flags, sequence, &body.0)) {
        Err(error) if is_missing(&error) => Ok(false),
        answer => answer.map(|_| true),
    }
}

/// Whether there is a table of this name.
pub(crate) fn has_table(family: Family, table: &str) -> io::Result<bool> {
    let mut body = Attributes::default();
    body.text(1, table);
    is_there(GET_TABLE, family, &body)
}

/// Whether a set has an element.
pub(crate) fn has_element(family: Family, table: &str, set: &str, key: &[u8]) -> io::Result<bool> {
    let mut body = Attributes::default();
    body.text(1, table).text(2, set).nested(3, |list| {
        list.nested(1, |element| {
            element.data(1, key);
        });
    });
    match is_there(GET_ELEMENT, family, &body) {
        // Kernels before 4.16 tell of all elements only.
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {
            Ok(elements(family, table, set)?.contains_key(key))
        }
        answer => answer,
    }
}

/// Every chain of the families `ip` and `inet`.
pub(crate) fn chains() -> io::Result<Vec<ChainSeen>> {
    let answers = dump(GET_CHAIN, None, &Attributes::default())?;
    Ok(answers.iter().filter_map(|answer| parse_chain(&answer.body)).collect())
}

fn parse_chain(body: &[u8]) -> Option<ChainSeen> {
    let family = match body.first()? {
        1 => Family::Inet,
        2 => Family::Ip,
        _ => return None,
    };
    let attributes = parse(body.get(4..)?);
    let hook = attributes
        .get(&4)
        .map(|nest| parse(nest))
        .and_then(|hook| Some((number(hook.get(&1)?)?, number(hook.get(&2)?)?.cast_signed())));
    Some(ChainSeen {
        family,
        table: text(attributes.get(&1)?),
        name: text(attributes.get(&3)?),
        hook,
        drops: attributes.get(&5).and_then(|policy| number(policy)) == Some(0),
    })
}

/// A table's rules, chain by chain, in their order.
pub(crate) fn rules(family: Family, table: &str) -> io::Result<Vec<RuleSeen>> {
    let mut body = Attributes::default();
    body.text(1, table);
    let answers = dump(GET_RULE, Some(family), &body)?;
    let rules = answers.iter().filter_map(|answer| parse_rule(&answer.body, table));
    Ok(rules.collect())
}

/// The rules of one chain, in their order.
pub(crate) fn rules_of(family: Family, table: &str, chain: &str) -> io::Result<Vec<RuleSeen>> {
    let mut body = Attributes::default();
    body.text(1, table).text(2, chain);
    let answers = dump(GET_RULE, Some(family), &body)?;
    let rules = answers.iter().filter_map(|answer| parse_rule(&answer.body, table));
    // Older kernels answer with all chains.
    Ok(rules.filter(|rule| rule.chain == chain).collect())
}

fn parse_rule(body: &[u8], table: &str) -> Option<RuleSeen> {
    let attributes = parse(body.get(4..)?);
    if text(attributes.get(&1)?) != table {
        return None; // kernels before 4.17 answer with all tables
    }
    Some(RuleSeen {
        chain: text(attributes.get(&2)?),
        handle: u64::from_be_bytes((*attributes.get(&3)?).try_into().ok()?),
        comment: attributes.get(&7).map(|data| comment(data)).unwrap_or_default(),
        exprs: attributes.get(&4).map(|data| data.to_vec()).unwrap_or_default(),
    })
}

fn comment(mut data: &[u8]) -> String {
    while let [kind, length, rest @ ..] = data {
        let value = rest.get(..usize::from(*length)).unwrap_or_default();
        if *kind == 0 {
            return text(value);
        }
        data = rest.get(usize::from(*length)..).unwrap_or_default();
    }
    String::new()
}

/// The names of a table's sets and maps.
pub(crate) fn sets(family: Family, table: &str) -> io::Result<Vec<String>> {
    let mut body = Attributes::default();
    body.text(1, table);
    let answers = dump(GET_SET, Some(family), &body)?;
    let name = |answer: &Answer| {
        let attributes = parse(answer.body.get(4..)?);
        (text(attributes.get(&1)?) == table).then(|| attributes.get(&2).map(|name| text(name)))?
    };
    Ok(answers.iter().filter_map(name).collect())
}

/// A set's elements: keys, and the chains that a map leads to.
pub(crate) fn elements(
    family: Family,
    table: &str,
    set: &str,
) -> io::Result<BTreeMap<Vec<u8>, Option<String>>> {
    let mut body = Attributes::default();
    body.text(1, table).text(2, set);
    let mut elements = BTreeMap::new();
    for answer in dump(GET_ELEMENT, Some(family), &body)? {
        let attributes = parse(answer.body.get(4..).unwrap_or_default());
        let nest = attributes.get(&3).copied().unwrap_or_default();
        elements.extend(list(nest).filter_map(|(_, element)| parse_element(element)));
    }
    Ok(elements)
}

fn parse_element(element: &[u8]) -> Option<(Vec<u8>, Option<String>)> {
    let element = parse(element);
    let key = parse(element.get(&1)?).get(&1)?.to_vec();
    let chain = element.get(&2).and_then(|data| {
        let verdict = parse(data);
        let verdict = parse(verdict.get(&2)?);
        verdict.get(&2).map(|chain| text(chain))
    });
    Some((key, chain))
}
