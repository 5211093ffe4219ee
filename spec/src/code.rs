//! The stable codes of problems, and what each of them means.
//!
//! # Invariants
//! - A code is never given another meaning, and never reused.
//! - `codes.md` has a section for every code and for nothing else: `## ID name: one line`, then
//!   the explanation. Where a Compose file can show the problem, its first example does, and the
//!   one after `Instead:` does not. Tests keep all of that.

use std::collections::HashMap;
use std::fmt;
use std::sync::LazyLock;

use serde::{Serialize, Serializer};

/// How bad a problem is. Its code says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The stack cannot be used.
    Error,
    /// Legal, but it hurts or is not run yet.
    Warning,
    /// Worth knowing; nothing to do.
    Notice,
}

/// A line for each code: its name in this program, and the one that people see.
macro_rules! codes {
    ($($variant:ident $id:literal,)*) => {
        /// The kind of a problem.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[expect(missing_docs, reason = "`codes.md` explains each of them")]
        pub enum Code { $($variant,)* }

        impl Code {
            /// All codes, by their IDs.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// What people see and write: `E0401`.
            pub const fn id(self) -> &'static str {
                match self { $(Self::$variant => $id,)* }
            }
        }
    };
}

codes! {
    Unreadable "E0101",
    TooLarge "E0102",
    NotUtf8 "E0103",
    Yaml "E0104",
    DuplicateKey "E0105",
    NonStringKey "E0106",
    UnknownAnchor "E0107",
    AliasCycle "E0108",
    AliasBomb "E0109",
    TooDeep "E0110",
    MergeKey "E0111",
    NoFile "E0112",
    Empty "E0113",
    EnvFile "E0114",
    InvalidTemplate "E0201",
    MissingVariable "E0202",
    ValueTooLong "E0203",
    UnsetContent "E0204",
    Merge "E0301",
    Include "E0302",
    Extends "E0303",
    UnknownKey "E0401",
    WrongType "E0402",
    BadValue "E0403",
    MissingKey "E0404",
    NotObeyed "E0405",
    Conflict "E0406",
    TooMany "E0407",
    BadName "E0408",
    NoImage "E0501",
    BadPort "E0502",
    BadMount "E0503",
    MountedTwice "E0504",
    NoContent "E0505",
    NoHealthCheck "E0506",
    Undefined "E0601",
    Cycle "E0602",
    NotANumber "E0701",
    NoHome "E0702",
    OutsideRepository "E0703",
    Config "E0704",
    ConfigFile "E0705",
    NotAllowed "E0706",
    NotFetched "E0707",
    MissingSource "E0708",
    NotRunYet "W0101",
    Limited "W0102",
    HostPorts "W0103",
    UnsetVariable "W0201",
    OldBoolean "W0202",
    DecimalMode "W0203",
    OldExternal "W0204",
    UnknownTag "W0205",
    TwoFiles "W0206",
    NoShell "W0207",
    NumberAsText "W0208",
    MutableTag "W0301",
    OpenDatabase "W0302",
    SecretInEnvironment "W0303",
    SharedVolume "W0304",
    UnknownHealth "W0305",
    Unused "W0306",
    PortConflict "W0307",
    StacksConflict "W0308",
    RelativeData "W0309",
    WritableFile "W0310",
    HealthTimeout "W0311",
    OpenSecret "W0312",
    FolderForFile "W0313",
    NoEffect "N0101",
    More "N0102",
    WithinNode "N0103",
}

/// A code's section of `codes.md`.
#[derive(Default)]
struct Section {
    name: &'static str,
    title: &'static str,
    explanation: &'static str,
}

const TEXT: &str = include_str!("codes.md");

fn sections() -> &'static HashMap<&'static str, Section> {
    static SECTIONS: LazyLock<HashMap<&'static str, Section>> = LazyLock::new(|| {
        let sections = TEXT.split("\n## ").skip(1);
        sections.filter_map(section).collect()
    });
    &SECTIONS
}

fn section(text: &'static str) -> Option<(&'static str, Section)> {
    let (heading, explanation) = text.split_once('\n')?;
    let (id, heading) = heading.split_once(' ')?;
    let (name, title) = heading.split_once(": ")?;
    Some((id, Section { name, title, explanation: explanation.trim() }))
}

impl Code {
    /// The code of this ID, whatever the case of its letter.
    pub fn of(id: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.id().eq_ignore_ascii_case(id))
    }

    fn section(self) -> &'static Section {
        static NONE: Section = Section { name: "", title: "", explanation: "" };
        sections().get(self.id()).unwrap_or(&NONE)
    }

    /// Its name: `unknown-key`.
    pub fn name(self) -> &'static str {
        self.section().name
    }

    /// What it is, in a line.
    pub fn title(self) -> &'static str {
        self.section().title
    }

    /// What it is, why it is a problem and what to do, with examples. Markdown.
    pub fn explanation(self) -> &'static str {
        self.section().explanation
    }

    /// How bad it is.
    pub fn severity(self) -> Severity {
        match self.id().as_bytes()[0] {
            b'E' => Severity::Error,
            b'W' => Severity::Warning,
            _ => Severity::Notice,
        }
    }
}

/// The ID.
impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_section_and_no_section_is_left_over() {
        let headings: Vec<&str> = TEXT.split("\n## ").skip(1).filter_map(|s| s.get(..5)).collect();
        let codes: Vec<&str> = Code::ALL.iter().map(|code| code.id()).collect();
        assert_eq!(headings, codes);
        for code in Code::ALL {
            assert!(!code.name().is_empty() && !code.title().is_empty(), "{code}");
            assert!(code.explanation().len() > 60, "{code} is explained");
        }
    }

    #[test]
    fn codes_are_found_by_their_ids() {
        assert_eq!(Code::of("e0401"), Some(Code::UnknownKey));
        assert_eq!(Code::of("E9999"), None);
    }
}
