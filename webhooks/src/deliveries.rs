//! Deliveries that came already: forges send one again when an answer was lost, or when a person
//! asks them to.

use std::collections::VecDeque;

/// For each hook; older ones are forgotten, and cost one look more.
const REMEMBERED: usize = 256;
/// No forge's are longer.
const LONGEST: usize = 128;

/// The last ones of a hook.
#[derive(Default)]
pub(crate) struct Deliveries(VecDeque<String>);

impl Deliveries {
    /// Whether it came before; from now on it did. One without a name is always new.
    pub fn known(&mut self, id: Option<&str>) -> bool {
        let Some(id) = id.filter(|id| !id.is_empty() && id.len() <= LONGEST) else { return false };
        if self.0.iter().any(|known| known == id) {
            return true;
        }
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(id.to_owned());
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_is_new_once_and_only_so_many_are_remembered() {
        let mut deliveries = Deliveries::default();
        assert!(!deliveries.known(Some("a")));
        assert!(deliveries.known(Some("a")));
        for number in 0..REMEMBERED {
            assert!(!deliveries.known(Some(&number.to_string())));
        }
        assert!(!deliveries.known(Some("a")), "it was forgotten");
        assert_eq!(deliveries.0.len(), REMEMBERED);
        for id in [None, Some(""), Some("x".repeat(129).as_str())] {
            assert!(!deliveries.known(id) && !deliveries.known(id));
        }
    }
}
