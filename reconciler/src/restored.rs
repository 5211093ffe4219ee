//! What is put right in the records of a backup before a controller works with them: what was decided after the backup
//! was made is not in them.
//!
//! # Invariants
//! - No generation is given twice: what runs may have been told more than the backup knows, and a task's name is
//!   made of its generation.

use crate::record::is_standing;
use keel_plan::standing::Standing;

/// The record of this key as a controller of this epoch starts with it; `None`: as it is. Restores count epochs in
/// seconds since 1970, which is more than any stack had decisions.
#[must_use]
pub fn restored(key: &str, value: &[u8], epoch: u64) -> Option<Vec<u8>> {
    if !is_standing(key) {
        return None;
    }
    let mut standing: Standing = serde_json::from_slice(value).ok()?;
    standing.generation = standing.generation.max(epoch);
    serde_json::to_vec_pretty(&standing).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_stacks_memory_changes_and_its_generation_never_goes_back() {
        let standing = |generation| {
            let standing = Standing { generation, ..Standing::default() };
            serde_json::to_vec(&standing).unwrap()
        };
        let after = |key: &str, generation| {
            let value = restored(key, &standing(generation), 1_800_000_000)?;
            Some(serde_json::from_slice::<Standing>(&value).unwrap().generation)
        };
        assert_eq!(after("stacks/shop/standing", 7), Some(1_800_000_000));
        assert_eq!(after("stacks/shop/standing", 1_800_000_007), Some(1_800_000_007));
        assert_eq!(after("stacks/shop/desired", 7), None);
        assert_eq!(after("pool/registry", 7), None);
        assert_eq!(restored("stacks/shop/standing", b"no record", 9), None);
    }
}
