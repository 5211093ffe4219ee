//! Capabilities: which ones a task has, and their bits. Pure.

use super::oci::Capabilities;
use keel_names::capability::{ALL, DEFAULT};
use std::collections::BTreeSet;

/// What a task has: the default set, less what is dropped, with what is added. `ALL` on one side
/// is a base that the other side is taken from, as docker does.
#[must_use]
pub fn granted(
    privileged: bool,
    add: &BTreeSet<String>,
    drop: &BTreeSet<String>,
) -> BTreeSet<String> {
    let plain = |set: &BTreeSet<String>| -> BTreeSet<String> {
        set.iter().map(|name| name.to_uppercase().trim_start_matches("CAP_").to_owned()).collect()
    };
    let (add, drop) = (plain(add), plain(drop));
    let all = || ALL.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    if privileged {
        return all();
    }
    let base = match (add.contains("ALL"), drop.contains("ALL")) {
        (true, _) => all(),
        (false, true) => BTreeSet::new(),
        (false, false) => DEFAULT.iter().map(|name| (*name).to_owned()).collect(),
    };
    let added = add.iter().filter(|name| ALL.contains(&name.as_str())).cloned();
    let kept = base.into_iter().filter(|name| !drop.contains(name));
    kept.chain(added).collect()
}

/// The sets of a process. Bounding is what it could ever have; nothing is inherited, so that a
/// process of another user has none.
#[must_use]
pub fn sets<'a>(granted: impl IntoIterator<Item = &'a str>) -> Capabilities {
    let set: Vec<_> = granted.into_iter().map(|name| format!("CAP_{name}")).collect();
    Capabilities {
        bounding: set.clone(),
        effective: set.clone(),
        permitted: set,
        ..Capabilities::default()
    }
}

/// The set as the kernel's bits; names that it does not know are left out.
#[must_use]
pub fn bits<'a>(names: impl IntoIterator<Item = &'a str>) -> u64 {
    let number = |name: &str| {
        let plain = name.trim_start_matches("CAP_");
        ALL.iter().position(|known| *known == plain)
    };
    names.into_iter().filter_map(number).fold(0, |bits, number| bits | 1 << number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_add_up_as_with_docker() {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let bits_of = |add: &[&str], drop: &[&str]| {
            let granted = granted(false, &set(add), &set(drop));
            bits(granted.iter().map(String::as_str))
        };
        assert_eq!(bits_of(&[], &[]), 0xa804_25fb, "docker's well-known CapEff");
        assert_eq!(bits_of(&["NET_ADMIN"], &[]), 0xa804_35fb);
        assert_eq!(bits_of(&[], &["ALL"]), 0);
        assert_eq!(bits_of(&["CHOWN"], &["ALL"]), 1);
        assert_eq!(bits_of(&["ALL"], &[]), (1 << 41) - 1);
        assert_eq!(bits_of(&["ALL"], &["CHOWN"]), (1 << 41) - 2);
    }
}
