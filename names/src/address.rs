//! Addresses and subnets of either family, as people write them and as records have them. Read once: what has
//! been read is an [`IpAddr`] or an [`IpNet`].

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, de::Error};
use std::net::IpAddr;

/// `10.5.0.0/16`, `fd00::/64`. The address stays as written, bits beyond the prefix included.
#[must_use]
pub fn subnet(text: &str) -> Option<IpNet> {
    let (address, prefix) = text.split_once('/')?;
    IpNet::new(address.parse().ok()?, prefix.parse().ok()?).ok()
}

/// `10.5.0.1`, `fd00::1`; an IPv6 address may be in brackets, as before a port.
#[must_use]
pub fn address(text: &str) -> Option<IpAddr> {
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    inner.unwrap_or(text).parse().ok()
}

/// Reads a stored subnet; an empty text is none.
pub fn stored_subnet<'de, D: Deserializer<'de>>(stored: D) -> Result<Option<IpNet>, D::Error> {
    stored_as(stored, "a subnet such as `10.5.0.0/16`", subnet)
}

/// Reads a stored address; an empty text is none.
pub fn stored_address<'de, D: Deserializer<'de>>(stored: D) -> Result<Option<IpAddr>, D::Error> {
    stored_as(stored, "an IP address", address)
}

fn stored_as<'de, D: Deserializer<'de>, T>(
    stored: D,
    wanted: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, D::Error> {
    let Some(text) = Option::<String>::deserialize(stored)?.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    read(&text).map(Some).ok_or_else(|| D::Error::custom(format!("`{text}` is not {wanted}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subnets_of_either_family_are_read_as_written() {
        let cases = [
            ("10.5.0.0/16", Some("10.5.0.0/16")),
            ("10.5.1.3/16", Some("10.5.1.3/16")),
            ("10.5.0.0/016", Some("10.5.0.0/16")),
            ("FD00:0::/64", Some("fd00::/64")),
            ("10.5.0.0", None),
            ("10.5.0.0/33", None),
            ("fd00::/129", None),
            ("lan/8", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let read = subnet(text).map(|subnet| subnet.to_string());
            assert_eq!(read.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn an_address_may_be_in_brackets() {
        let cases = [
            ("10.5.0.1", Some("10.5.0.1")),
            ("[::]", Some("::")),
            ("fd00:0::1", Some("fd00::1")),
            ("[::", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let read = address(text).map(|address| address.to_string());
            assert_eq!(read.as_deref(), expected, "{text}");
        }
    }
}
