//! Attributes and messages of nfnetlink, as bytes. Integers in attributes are big-endian.

use std::collections::BTreeMap;

const NESTED: u16 = 1 << 15;
const SUBSYSTEM: u16 = 10;
const TRACKING: u16 = 1;

/// Attributes, one after the other.
#[derive(Default)]
pub(in crate::network) struct Attributes(pub Vec<u8>);

impl Attributes {
    pub fn bytes(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        let length = u16::try_from(value.len() + 4).expect("an attribute is shorter than 64 KiB");
        self.0.extend(length.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    pub fn text(&mut self, kind: u16, value: &str) -> &mut Self {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.bytes(kind, &bytes)
    }

    pub fn number(&mut self, kind: u16, value: u32) -> &mut Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    /// `NFTA_DATA_VALUE` in a nest.
    pub fn data(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        let mut inner = Self::default();
        inner.bytes(1, value);
        self.bytes(kind | NESTED, &inner.0)
    }

    pub fn nested(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) -> &mut Self {
        let mut inner = Self::default();
        fill(&mut inner);
        self.bytes(kind | NESTED, &inner.0)
    }
}

/// One message: header, `nfgenmsg`, attributes. `kind` is an `NFT_MSG_…`.
pub(in crate::network) fn message(
    kind: u16,
    family: u8,
    flags: u16,
    sequence: u32,
    body: &[u8],
) -> Vec<u8> {
    raw(SUBSYSTEM << 8 | kind, family, 0, flags, sequence, body)
}

/// The same for connection tracking. `kind` is an `IPCTNL_MSG_CT_…`.
pub(in crate::network) fn tracking(kind: u16, flags: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
    const INET: u8 = 2;
    raw(TRACKING << 8 | kind, INET, 0, flags, sequence, body)
}

/// A batch's first or last message.
pub(in crate::network) fn bracket(kind: u16, sequence: u32) -> Vec<u8> {
    raw(kind, 0, SUBSYSTEM, 1, sequence, &[])
}

fn raw(kind: u16, family: u8, resource: u16, flags: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(20 + body.len()).expect("a message is shorter than 4 GiB");
    let mut bytes = Vec::with_capacity(20 + body.len());
    bytes.extend(length.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend(0_u32.to_ne_bytes());
    bytes.extend([family, 0]);
    bytes.extend(resource.to_be_bytes());
    bytes.extend(body);
    bytes
}

/// The attributes of an answer (after `nfgenmsg`) or of a nest. The last of a kind wins; lists
/// are read by [`list`].
pub(in crate::network) fn parse(bytes: &[u8]) -> BTreeMap<u16, &[u8]> {
    list(bytes).collect()
}

/// The attributes in their order.
pub(in crate::network) fn list(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    marked(bytes).map(|(kind, _, value)| (kind, value))
}

/// The same, with whether each says that it is a nest.
pub(in crate::network) fn marked(mut bytes: &[u8]) -> impl Iterator<Item = (u16, bool, &[u8])> {
    std::iter::from_fn(move || {
        let head = bytes.get(..4)?;
        let length = usize::from(u16::from_ne_bytes([head[0], head[1]]));
        let kind = u16::from_ne_bytes([head[2], head[3]]);
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind & 0x3fff, kind & NESTED != 0, value))
    })
}

/// A text attribute's value.
pub(in crate::network) fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value.strip_suffix(&[0]).unwrap_or(value)).into_owned()
}

/// A number attribute's value.
pub(in crate::network) fn number(value: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(value.get(..4)?.try_into().ok()?))
}
