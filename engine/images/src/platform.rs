//! Which of an image's variants runs on a machine.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An operating system and a processor, in the words that registries use.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Platform {
    /// `linux`.
    pub os: String,
    /// `amd64`, `arm64`, `arm`, …
    pub architecture: String,
    /// `v7`, `v8`, …; only where processors of one name differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// The platform of this machine.
    pub fn host() -> Self {
        Self::linux(std::env::consts::ARCH)
    }

    /// Linux on a processor, by Go's name for it or by the kernel's.
    pub fn linux(architecture: &str) -> Self {
        let (architecture, variant) = match architecture {
            "x86_64" => ("amd64", None),
            "aarch64" => ("arm64", None),
            "x86" | "i686" => ("386", None),
            "arm" => ("arm", Some("v7")),
            "powerpc64" => ("ppc64le", None),
            "loongarch64" => ("loong64", None),
            other => (other, None),
        };
        Self {
            os: "linux".into(),
            architecture: architecture.into(),
            variant: variant.map(str::to_owned),
        }
    }

    /// How well `offered` runs here: `None` not at all, else lower is better.
    pub(crate) fn distance(&self, offered: &Platform) -> Option<u8> {
        if self.os != offered.os || self.architecture != offered.architecture {
            return None;
        }
        let (wanted, offered) = (self.level(), offered.level());
        // An older variant's programs run on a newer processor, never the other way round.
        wanted.checked_sub(offered)
    }

    /// The variant as a number; those that mean "the plain one" are equal to none at all.
    fn level(&self) -> u8 {
        let written = self.variant.as_deref().map(|variant| variant.trim_start_matches('v'));
        let plain = match self.architecture.as_str() {
            "arm64" => 8,
            "arm" => 7,
            _ => 1,
        };
        written.and_then(|digits| digits.parse().ok()).unwrap_or(plain)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(out, "/{variant}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_variants_run_on_newer_processors() {
        let arm =
            |variant: &str| Platform { variant: Some(variant.into()), ..Platform::linux("arm") };
        let arm64 = Platform::linux("aarch64");
        let v8 = Platform { variant: Some("v8".into()), ..arm64.clone() };
        let amd_v3 = Platform { variant: Some("v3".into()), ..Platform::linux("x86_64") };
        let cases = [
            (arm("v7"), arm("v7"), Some(0)),
            (arm("v7"), arm("v6"), Some(1)),
            (arm("v6"), arm("v7"), None),
            (arm64.clone(), v8.clone(), Some(0)),
            (v8, arm64.clone(), Some(0)),
            (Platform::linux("x86_64"), amd_v3, None),
            (arm64, Platform::linux("x86_64"), None),
        ];
        for (here, offered, distance) in cases {
            assert_eq!(here.distance(&offered), distance, "{offered} on {here}");
        }
    }
}
