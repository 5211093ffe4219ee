//! Which addresses a pool to try gets. Pure.

use ipnet::{IpNet, Ipv4Net};
use std::net::Ipv4Addr;

/// How many ranges there are to choose from.
const CHOICES: u32 = 512;

/// The first free range of 198.18.0.0/15, which is reserved for tests of networks: no private network has it. `seed`
/// says where to begin, so that pools below two roots do not meet.
pub fn choose(in_use: &[IpNet], seed: u32) -> Option<Ipv4Net> {
    let base = u32::from(Ipv4Addr::new(198, 18, 0, 0));
    let ranges = (0..CHOICES).map(|step| (seed.wrapping_add(step)) % CHOICES);
    let ranges =
        ranges.filter_map(|third| Ipv4Net::new(Ipv4Addr::from(base + (third << 8)), 24).ok());
    ranges.into_iter().find(|range| !in_use.iter().any(|other| overlap(*other, *range)))
}

/// Whether two ranges share an address. A default route overlaps with nothing: it is for what no other has.
pub fn overlap(one: IpNet, other: Ipv4Net) -> bool {
    let IpNet::V4(one) = one else { return false };
    one.prefix_len() > 0 && (one.contains(&other.network()) || other.contains(&one.network()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(in_use: &[&str], seed: u32) -> Option<String> {
        let in_use: Vec<_> = in_use.iter().map(|text| text.parse().unwrap()).collect();
        choose(&in_use, seed).map(|range| range.to_string())
    }

    #[test]
    fn a_range_is_chosen_around_what_is_in_use() {
        assert_eq!(chosen(&[], 0).unwrap(), "198.18.0.0/24");
        assert_eq!(chosen(&[], 0xffff_ffff).unwrap(), "198.19.255.0/24");
        let proxy = ["0.0.0.0/0", "198.18.0.0/16", "10.0.0.0/8", "fe80::/64"];
        assert_eq!(chosen(&proxy, 7).unwrap(), "198.19.0.0/24");
        assert_eq!(chosen(&["198.18.0.77/32"], 0).unwrap(), "198.18.1.0/24");
        assert_eq!(chosen(&["198.18.0.0/15"], 3), None);
    }
}
