//! The expressions that our rules are made of, and their encoding.

use super::wire::Attributes;
use std::net::Ipv4Addr;

/// A 4-byte register. An interface's name fills four of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reg(pub u32);

const REG32_BASE: u32 = 8;

impl Reg {
    /// The first.
    pub const A: Self = Self(REG32_BASE);
    /// The one after [`Self::A`].
    pub const B: Self = Self(REG32_BASE + 1);
    /// The one after [`Self::B`].
    pub const C: Self = Self(REG32_BASE + 2);
    /// The one after an interface's name in [`Self::A`].
    pub const AFTER_NAME: Self = Self(REG32_BASE + 4);

    /// As the kernel shows it: every fourth by the number that it has among those of 16 bytes.
    fn number(self) -> u32 {
        match self.0 - REG32_BASE {
            place if place % 4 == 0 => place / 4 + 1,
            _ => self.0,
        }
    }
}

/// What a packet's metadata is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meta {
    InputName = 6,
    OutputName = 7,
    Protocol = 16,
}

/// What a packet's connection is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ct {
    State = 0,
    Status = 2,
}

/// The connection's destination was translated.
pub(crate) const STATUS_DNAT: u32 = 1 << 5;
/// The packet belongs to a known connection, or is an error about one.
pub(crate) const STATE_ESTABLISHED_RELATED: u32 = 2 | 4;

/// Where a rule leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RuleVerdict {
    Drop,
    Accept,
    Jump(String),
    Goto(String),
}

/// One expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expr {
    Meta(Meta, Reg),
    Ct(Ct, Reg),
    /// Bytes of the network header (offset, length).
    NetworkHeader(u32, u32, Reg),
    /// Bytes of the transport header (offset, length).
    TransportHeader(u32, u32, Reg),
    /// Equal to these bytes; of a name, a prefix.
    Equal(Reg, Vec<u8>),
    NotEqual(Reg, Vec<u8>),
    /// Keeps the bits of the mask.
    Mask(Reg, Vec<u8>),
    /// The type of the destination address's route.
    DestinationKind(Reg),
    /// Is in this set.
    Member(Reg, &'static str),
    /// Goes where this map says.
    VerdictMap(Reg, &'static str),
    /// A number below this one.
    Random(u32, Reg),
    Address(Ipv4Addr, Reg),
    Port(u16, Reg),
    /// Translates the destination to the address and port in these registers.
    Dnat(Reg, Reg),
    Masquerade,
    Counter,
    To(RuleVerdict),
}

/// The kind of route to an address of this host.
pub(crate) const ROUTE_LOCAL: u32 = 2;

impl Expr {
    pub(super) fn encode(&self, list: &mut Attributes) {
        list.nested(1, |element| {
            let (name, data) = self.parts();
            element.text(1, name);
            element.bytes(2 | 1 << 15, &data.0);
        });
    }

    /// A flat table: the kernel's name of each expression and its attributes.
    fn parts(&self) -> (&'static str, Attributes) {
        let mut data = Attributes::default();
        let name = match self {
            Self::Meta(key, to) => {
                data.number(1, to.number()).number(2, *key as u32);
                "meta"
            }
            Self::Ct(key, to) => {
                data.number(1, to.number()).number(2, *key as u32);
                "ct"
            }
            Self::NetworkHeader(offset, length, to) => {
                data.number(1, to.number()).number(2, 1).number(3, *offset).number(4, *length);
                "payload"
            }
            Self::TransportHeader(offset, length, to) => {
                data.number(1, to.number()).number(2, 2).number(3, *offset).number(4, *length);
                "payload"
            }
            Self::Equal(from, value) | Self::NotEqual(from, value) => {
                let operator = u32::from(matches!(self, Self::NotEqual(..)));
                data.number(1, from.number()).number(2, operator);
                data.data(3, value);
                "cmp"
            }
            Self::Mask(register, mask) => {
                let length = u32::try_from(mask.len()).expect("a mask has at most 16 bytes");
                data.number(1, register.number()).number(2, register.number()).number(3, length);
                data.data(4, mask);
                data.data(5, &vec![0; mask.len()]);
                "bitwise"
            }
            Self::DestinationKind(to) => {
                data.number(1, to.number()).number(2, 3).number(3, 2);
                "fib"
            }
            Self::Member(from, set) => {
                data.text(1, set).number(2, from.number());
                "lookup"
            }
            Self::VerdictMap(from, set) => {
                data.text(1, set).number(2, from.number()).number(3, 0);
                "lookup"
            }
            Self::Random(modulus, to) => {
                data.number(1, to.number()).number(2, *modulus).number(3, 1).number(4, 0);
                "numgen"
            }
            Self::Address(address, to) => {
                data.number(1, to.number()).data(2, &address.octets());
                "immediate"
            }
            Self::Port(port, to) => {
                data.number(1, to.number()).data(2, &port.to_be_bytes());
                "immediate"
            }
            Self::Dnat(address, port) => {
                data.number(1, 1).number(2, 2).number(3, address.number()).number(5, port.number());
                "nat"
            }
            Self::Masquerade => "masq",
            Self::Counter => "counter",
            Self::To(verdict) => {
                data.number(1, 0).nested(2, |nest| verdict.encode(nest));
                "immediate"
            }
        };
        (name, data)
    }
}

impl RuleVerdict {
    pub(super) fn encode(&self, data: &mut Attributes) {
        data.nested(2, |nest| {
            match self {
                Self::Drop => nest.number(1, 0),
                Self::Accept => nest.number(1, 1),
                Self::Jump(chain) => nest.number(1, (-3_i32).cast_unsigned()).text(2, chain),
                Self::Goto(chain) => nest.number(1, (-4_i32).cast_unsigned()).text(2, chain),
            };
        });
    }
}
