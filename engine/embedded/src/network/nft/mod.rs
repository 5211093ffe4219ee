//! nftables over raw netlink: a machine need not have the `nft` program.
//!
//! [`batch`] changes (all of it or nothing), [`read`] reads back, [`expr`] is what rules are made
//! of. Numbers are those of the kernel's `linux/netfilter/nf_tables.h`.
//!
//! # Not here
//! Which tables and chains there are: `super::firewall`, `super::ports`, `super::foreign`.

pub(crate) mod batch;
pub(crate) mod expr;
mod family;
pub(crate) mod read;
mod same;

pub(crate) use family::Family;
pub(in crate::network) mod wire;

/// Where a base chain hooks in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hook {
    Prerouting = 0,
    Forward = 2,
    Output = 3,
    Postrouting = 4,
}

/// What makes a chain a base chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Base {
    /// `filter` or `nat`.
    pub kind: &'static str,
    pub hook: Hook,
    pub priority: i32,
}

/// A rule; its comment is how it is known again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    pub comment: String,
    pub exprs: Vec<expr::Expr>,
}

impl Rule {
    /// A rule with its comment.
    pub fn new(comment: impl Into<String>, exprs: Vec<expr::Expr>) -> Self {
        Self { comment: comment.into(), exprs }
    }

    /// Whether a rule that is there is this one, its comment apart.
    pub fn is(&self, seen: &read::RuleSeen) -> bool {
        same::is(&self.exprs, &seen.exprs)
    }
}

/// A part of a set's key, with nft's own number for its type (so that `nft` can print it).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyPart {
    Ipv4Address = 7,
    Protocol = 12,
    Service = 13,
    Interface = 41,
}

impl KeyPart {
    /// Bytes in a key, padded to whole registers.
    fn length(self) -> usize {
        match self {
            Self::Ipv4Address | Self::Protocol | Self::Service => 4,
            Self::Interface => 16,
        }
    }
}

/// A set, or a map from keys to chains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Set {
    pub name: &'static str,
    pub key: &'static [KeyPart],
    pub verdicts: bool,
}

/// An interface's name as a key holds it.
pub(crate) fn interface_key(name: &str) -> [u8; 16] {
    let mut key = [0; 16];
    let length = name.len().min(15);
    key[..length].copy_from_slice(&name.as_bytes()[..length]);
    key
}
