//! A batch of changes: the kernel does all of it, or nothing.

use super::expr::RuleVerdict;
use super::wire::{Attributes, bracket, message};
use super::{Base, Family, Rule, Set};
use crate::network::netlink::Netlink;
use netlink_packet_core::{NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_REQUEST};
use netlink_sys::protocols::NETLINK_NETFILTER;
use std::io;

const NEW_TABLE: u16 = 0;
const DELETE_TABLE: u16 = 2;
const NEW_CHAIN: u16 = 3;
const DELETE_CHAIN: u16 = 5;
const NEW_RULE: u16 = 6;
const DELETE_RULE: u16 = 8;
const NEW_SET: u16 = 9;
const NEW_ELEMENT: u16 = 12;
const DELETE_ELEMENT: u16 = 14;
const VERDICT_DATA: u32 = 0xffff_ff00;
const MAP: u32 = 8;
/// Elements of one message: far below the 64 KiB that a list of them can have.
const ELEMENTS: usize = 500;

/// An element: its key, and where a map leads from it.
pub(crate) type Element = (Vec<u8>, Option<RuleVerdict>);

/// Changes to one table of one family, in order.
pub(crate) struct Batch {
    family: Family,
    table: String,
    changes: Vec<Change>,
    sets: u32,
}

struct Change {
    what: String,
    kind: u16,
    flags: u16,
    body: Vec<u8>,
}

impl Batch {
    /// Nothing to do yet.
    pub fn new(family: Family, table: impl Into<String>) -> Self {
        Self { family, table: table.into(), changes: Vec::new(), sets: 0 }
    }

    fn add(
        &mut self,
        what: impl Into<String>,
        kind: u16,
        flags: u16,
        fill: impl FnOnce(&mut Attributes),
    ) -> &mut Self {
        let mut body = Attributes::default();
        body.text(1, &self.table);
        fill(&mut body);
        self.changes.push(Change { what: what.into(), kind, flags, body: body.0 });
        self
    }

    /// The table, unless it is there.
    pub fn table(&mut self) -> &mut Self {
        self.add("add the table", NEW_TABLE, NLM_F_CREATE, |_| {})
    }

    /// The table with all that is in it, and no error where there is none.
    pub fn delete_table(&mut self) -> &mut Self {
        self.table().add("delete the table", DELETE_TABLE, 0, |_| {})
    }

    /// A chain, unless it is there; a base chain accepts what no rule decides.
    pub fn chain(&mut self, name: &str, base: Option<Base>) -> &mut Self {
        self.add(format!("add chain {name}"), NEW_CHAIN, NLM_F_CREATE, |body| {
            body.text(3, name);
            if let Some(base) = base {
                body.nested(4, |hook| {
                    hook.number(1, base.hook as u32).number(2, base.priority.cast_unsigned());
                });
                body.number(5, 1).text(7, base.kind);
            }
        })
    }

    /// Deletes a chain that no rule and no element leads to; its rules go with it.
    pub fn delete_chain(&mut self, name: &str) -> &mut Self {
        self.flush_chain(name);
        self.add(format!("delete chain {name}"), DELETE_CHAIN, 0, |body| {
            body.text(3, name);
        })
    }

    /// Deletes a chain's rules.
    pub fn flush_chain(&mut self, name: &str) -> &mut Self {
        self.add(format!("empty chain {name}"), DELETE_RULE, 0, |body| {
            body.text(2, name);
        })
    }

    /// Rules at a chain's end.
    pub fn append(&mut self, chain: &str, rules: &[Rule]) -> &mut Self {
        for rule in rules {
            self.rule(chain, rule, NLM_F_CREATE | NLM_F_APPEND);
        }
        self
    }

    /// Rules at a chain's beginning.
    pub fn insert(&mut self, chain: &str, rules: &[Rule]) -> &mut Self {
        for rule in rules.iter().rev() {
            self.rule(chain, rule, NLM_F_CREATE);
        }
        self
    }

    fn rule(&mut self, chain: &str, rule: &Rule, flags: u16) -> &mut Self {
        let what = format!("add rule `{}` to chain {chain}", rule.comment);
        self.add(what, NEW_RULE, flags, |body| {
            body.text(2, chain);
            body.nested(4, |list| rule.exprs.iter().for_each(|expr| expr.encode(list)));
            body.bytes(7, &comment(&rule.comment));
        })
    }

    /// Deletes one rule by its handle.
    pub fn delete_rule(&mut self, chain: &str, handle: u64) -> &mut Self {
        self.add(format!("delete a rule of chain {chain}"), DELETE_RULE, 0, |body| {
            body.text(2, chain).bytes(3, &handle.to_be_bytes());
        })
    }

    /// A set or map, unless it is there.
    pub fn set(&mut self, set: &Set) -> &mut Self {
        self.sets += 1;
        let (id, length) = (self.sets, set.key.iter().map(|part| part.length()).sum::<usize>());
        let kind = set.key.iter().fold(0, |kind, part| kind << 6 | *part as u32);
        let length = u32::try_from(length).expect("a key has at most 64 bytes");
        self.add(format!("add set {}", set.name), NEW_SET, NLM_F_CREATE, |body| {
            body.text(2, set.name);
            body.number(3, if set.verdicts { MAP } else { 0 });
            body.number(4, kind).number(5, length);
            if set.verdicts {
                body.number(6, VERDICT_DATA).number(7, 16);
            }
            body.number(10, id);
        })
    }

    /// Adds elements; those that are there already stay.
    pub fn elements(&mut self, set: &str, elements: &[Element]) -> &mut Self {
        for some in elements.chunks(ELEMENTS) {
            let what = format!("add elements to {set}");
            self.add(what, NEW_ELEMENT, NLM_F_CREATE, |body| element_list(body, set, some));
        }
        self
    }

    /// Takes elements away; an error if one is not there.
    pub fn delete_elements(&mut self, set: &str, elements: &[Element]) -> &mut Self {
        for some in elements.chunks(ELEMENTS) {
            let what = format!("take elements from {set}");
            self.add(what, DELETE_ELEMENT, 0, |body| element_list(body, set, some));
        }
        self
    }

    /// Takes all elements away.
    pub fn flush_set(&mut self, set: &str) -> &mut Self {
        self.add(format!("empty set {set}"), DELETE_ELEMENT, 0, |body| {
            body.text(2, set);
        })
    }

    /// Does it, in the calling thread's namespace. The error names the first change refused.
    pub fn commit(&self) -> io::Result<()> {
        if self.changes.is_empty() {
            return Ok(());
        }
        let mut netlink = Netlink::open(NETLINK_NETFILTER)?;
        let count = u32::try_from(self.changes.len()).expect("a batch has fewer changes");
        let first = netlink.sequences(count + 2);
        let last = first + count;
        let verdicts = netlink.submit(&self.encode(first), first, last)?;
        for verdict in verdicts {
            if let Some(error) = verdict.error {
                let change = (verdict.sequence - first).checked_sub(1);
                let what = change.and_then(|number| self.changes.get(number as usize));
                let what = what.map_or("the whole batch", |change| change.what.as_str());
                return Err(Refused::wrap(what, error));
            }
        }
        Ok(())
    }

    fn encode(&self, first: u32) -> Vec<u8> {
        let mut bytes = bracket(16, first);
        let mut sequence = first;
        for (number, change) in self.changes.iter().enumerate() {
            sequence += 1;
            let ack = if number + 1 == self.changes.len() { NLM_F_ACK } else { 0 };
            let flags = NLM_F_REQUEST | change.flags | ack;
            bytes.extend(message(change.kind, self.family as u8, flags, sequence, &change.body));
        }
        bytes.extend(bracket(17, sequence + 1));
        bytes
    }
}

/// The change that the kernel refused; keeps the kind and the code of its answer.
#[derive(Debug, thiserror::Error)]
#[error("the kernel refuses to {what}")]
pub(crate) struct Refused {
    what: String,
    source: io::Error,
}

impl Refused {
    fn wrap(what: &str, source: io::Error) -> io::Error {
        io::Error::new(source.kind(), Self { what: what.to_owned(), source })
    }
}

fn element_list(body: &mut Attributes, set: &str, elements: &[Element]) {
    body.text(2, set);
    body.nested(3, |list| {
        for (key, verdict) in elements {
            list.nested(1, |element| {
                element.data(1, key);
                if let Some(verdict) = verdict {
                    element.nested(2, |nest| verdict.encode(nest));
                }
            });
        }
    });
}

/// A comment as `nft` writes and shows it: type 0, length, text with its NUL; 127 bytes of text.
fn comment(text: &str) -> Vec<u8> {
    let mut end = text.len().min(127);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let length = u8::try_from(end + 1).expect("cut to 127 bytes above");
    let mut bytes = vec![0, length];
    bytes.extend(&text.as_bytes()[..end]);
    bytes.push(0);
    bytes
}
