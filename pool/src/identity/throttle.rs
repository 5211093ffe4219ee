//! Who guesses secrets is slowed down: ten wrong ones a minute from one address, then none is looked at.
//!
//! Nobody guesses 160 bits; this keeps those who try from costing more than they gain.

use super::life::MINUTE;
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};

/// Wrong secrets from an address in a minute.
const TRIES: usize = 10;
/// Addresses that are remembered.
const ADDRESSES: usize = 4096;

/// When wrong secrets came from where. Times are any milliseconds that only grow.
#[derive(Debug, Default)]
pub struct Throttle(BTreeMap<IpAddr, VecDeque<u64>>);

impl Throttle {
    /// In how many milliseconds an address may try again; `None`: now.
    pub fn wait(&mut self, address: IpAddr, now: u64) -> Option<u64> {
        let tries = self.0.get_mut(&whole(address))?;
        forget(tries, now);
        let first = tries.front().filter(|_| tries.len() >= TRIES)?;
        Some((first + MINUTE).saturating_sub(now))
    }

    /// Notes a wrong secret.
    pub fn wrong(&mut self, address: IpAddr, now: u64) {
        if self.0.len() >= ADDRESSES {
            self.make_room(now);
        }
        let tries = self.0.entry(whole(address)).or_default();
        forget(tries, now);
        tries.push_back(now);
        if tries.len() > TRIES {
            tries.pop_front();
        }
    }

    /// Forgets who did nothing for a minute; where that makes no room, every second address: who has thousands of
    /// them is not slowed down by counting.
    fn make_room(&mut self, now: u64) {
        self.0.retain(|_, tries| tries.back().is_some_and(|last| last + MINUTE > now));
        if self.0.len() >= ADDRESSES {
            let mut stays = false;
            self.0.retain(|_, _| {
                stays = !stays;
                stays
            });
        }
    }
}

fn forget(tries: &mut VecDeque<u64>, now: u64) {
    while tries.front().is_some_and(|first| first + MINUTE <= now) {
        tries.pop_front();
    }
}

/// All addresses that one machine may choose from: a /64 of IPv6.
fn whole(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from(u128::from(v6) >> 64 << 64)),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_eleventh_wrong_secret_in_a_minute_waits() {
        let mut throttle = Throttle::default();
        for at in 0..10 {
            assert_eq!(throttle.wait(ip("192.0.2.1"), at * 1000), None, "{at}");
            throttle.wrong(ip("192.0.2.1"), at * 1000);
        }
        assert_eq!(throttle.wait(ip("192.0.2.1"), 10_000), Some(50_000));
        assert_eq!(throttle.wait(ip("::ffff:192.0.2.1"), 10_000), Some(50_000));
        assert_eq!(throttle.wait(ip("192.0.2.2"), 10_000), None);
        assert_eq!(throttle.wait(ip("192.0.2.1"), 60_000), None);
    }

    #[test]
    fn an_ipv6_machine_is_its_network() {
        let mut throttle = Throttle::default();
        for last in 0..10 {
            throttle.wrong(ip(&format!("2001:db8::{last}")), 0);
        }
        assert!(throttle.wait(ip("2001:db8::ffff"), 1).is_some());
        assert!(throttle.wait(ip("2001:db8:0:1::1"), 1).is_none());
    }

    #[test]
    fn memory_is_bounded_however_many_addresses_come() {
        let mut throttle = Throttle::default();
        for number in 0..10_000_u32 {
            throttle.wrong(IpAddr::V4(number.into()), 7);
        }
        assert!((ADDRESSES / 2..=ADDRESSES).contains(&throttle.0.len()), "{}", throttle.0.len());
    }
}
