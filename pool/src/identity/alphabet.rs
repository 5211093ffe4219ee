//! Text that people copy and type: base 32 in Crockford's alphabet, which has no I, L, O and U. Case does not
//! matter, and who types `O`, `I` or `L` means `0` or `1`.

use data_encoding::{Encoding, Specification};
use std::sync::LazyLock;

static ENCODING: LazyLock<Encoding> = LazyLock::new(|| {
    let mut specification = Specification::new();
    specification.symbols.push_str("0123456789ABCDEFGHJKMNPQRSTVWXYZ");
    specification.translate.from.push_str("abcdefghjkmnpqrstvwxyzoOiIlL");
    specification.translate.to.push_str("ABCDEFGHJKMNPQRSTVWXYZ001111");
    specification.encoding().expect("32 different symbols, and translations to some of them")
});

/// Bytes as text, in upper case.
pub(super) fn encode(bytes: &[u8]) -> String {
    ENCODING.encode(bytes)
}

/// The bytes that a text stands for; `None` where it has another length, or is no such text.
pub(super) fn decode<const LENGTH: usize>(text: &str) -> Option<[u8; LENGTH]> {
    ENCODING.decode(text.as_bytes()).ok()?.try_into().ok()
}
