//! JSON that every reader understands alike: no key twice in one object.
//!
//! Readers differ in which of two equal keys they take, and those in Go take `Layers` for `layers`:
//! one digest would then name two images. Such a document is refused.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// In which objects keys that differ in case alone count as equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fold {
    /// In all whose keys are the format's, and not somebody's own words.
    Manifest,
    /// In the outermost and in `rootfs`.
    Config,
    Nowhere,
}

/// What is wrong with a document's keys.
pub(crate) fn check(bytes: &[u8], fold: Fold) -> Result<(), String> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    fold.deserialize(&mut reader).map_err(|error| error.to_string())
}

impl Fold {
    fn below(self, key: &str) -> Self {
        match (self, key) {
            (Self::Manifest, "annotations") => Self::Nowhere,
            (Self::Manifest, _) => Self::Manifest,
            (Self::Config, "rootfs") => Self::Manifest,
            _ => Self::Nowhere,
        }
    }

    fn folded(self, key: &str) -> String {
        match self {
            Self::Nowhere => key.to_owned(),
            // Upper case joins more letters than lower case does: the long s and the Kelvin sign.
            _ => key.to_lowercase().to_uppercase(),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Fold {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        value.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Fold {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = BTreeSet::new();
        while let Some(key) = map.next_key::<String>()? {
            map.next_value_seed(self.below(&key))?;
            if !seen.insert(self.folded(&key)) {
                return Err(serde::de::Error::custom(format!("it has the key `{key}` twice")));
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(self)?.is_some() {}
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        value.deserialize_any(self)
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_once_in_an_object() {
        let cases = [
            (r#"{"layers":[],"config":{"digest":"x"}}"#, Fold::Manifest, None),
            (r#"{"layers":[],"layers":[]}"#, Fold::Manifest, Some("layers")),
            (r#"{"layers":[],"Layers":[]}"#, Fold::Manifest, Some("Layers")),
            ("{\"layers\":[],\"layer\u{17f}\":[]}", Fold::Manifest, Some("layer\u{17f}")),
            (r#"{"layers":[{"digest":1,"Digest":2}]}"#, Fold::Manifest, Some("Digest")),
            (r#"{"annotations":{"Name":1,"name":2}}"#, Fold::Manifest, None),
            (r#"{"annotations":{"name":1,"name":2}}"#, Fold::Manifest, Some("name")),
            (r#"{"config":{"Labels":{"Name":"a","name":"b"}}}"#, Fold::Config, None),
            (r#"{"config":{"Env":[],"Env":[]}}"#, Fold::Config, Some("Env")),
            (r#"{"os":"linux","OS":"linux"}"#, Fold::Config, Some("OS")),
            (r#"{"rootfs":{"diff_ids":[],"Diff_IDs":[]}}"#, Fold::Config, Some("Diff_IDs")),
            (r#"{"a":[{"b":{"c":null,"c":1.5}}]}"#, Fold::Nowhere, Some("c")),
        ];
        for (text, fold, twice) in cases {
            let problem = check(text.as_bytes(), fold).err();
            match twice {
                None => assert_eq!(problem, None, "{text}"),
                Some(key) => {
                    let problem = problem.expect(text);
                    assert!(
                        problem.starts_with(&format!("it has the key `{key}` twice")),
                        "{problem}"
                    );
                }
            }
        }
        assert!(check(&b"[".repeat(100_000), Fold::Manifest).is_err(), "without a deep stack");
    }
}
