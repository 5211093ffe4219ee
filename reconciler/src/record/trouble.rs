//! Why a source cannot be read: as data, and ready to print.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a source cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Form")]
pub struct SourceTrouble {
    /// The source's name.
    pub source: String,
    /// The error with its causes, in one line.
    pub what: String,
    /// What to do about it, in one line.
    pub hint: Option<String>,
}

/// As people see it where errors are printed.
impl fmt::Display for SourceTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, what, hint } = self;
        let hint = hint.as_ref().map(|hint| format!("\nhint: {hint}\n")).unwrap_or_default();
        write!(f, "error: source {source}: {what}\n{hint}")
    }
}

/// As it is stored; an older version stored what it printed.
#[derive(Deserialize)]
#[serde(untagged)]
enum Form {
    Printed(String),
    Data { source: String, what: String, hint: Option<String> },
}

impl From<Form> for SourceTrouble {
    fn from(form: Form) -> Self {
        match form {
            Form::Data { source, what, hint } => Self { source, what, hint },
            Form::Printed(text) => read(&text),
        }
    }
}

fn read(text: &str) -> SourceTrouble {
    let (error, hint) = match text.split_once("\n\nhint: ") {
        Some((error, hint)) => (error, Some(hint.trim_end().to_owned())),
        None => (text, None),
    };
    let named = error.strip_prefix("error: source ").and_then(|error| error.split_once(": "));
    let (source, what) = named.unwrap_or(("", error));
    SourceTrouble { source: source.to_owned(), what: what.trim_end().to_owned(), hint }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_older_version_stored_is_read_and_printed_as_it_was() {
        let printed = [
            "error: source home: cannot fetch x: refused\n\nhint: is it up?\n",
            "error: source home: cannot fetch x: refused\n",
        ];
        for printed in printed {
            let record = serde_json::to_string(printed).unwrap();
            let trouble: SourceTrouble = serde_json::from_str(&record).unwrap();
            assert_eq!(
                (trouble.source.as_str(), trouble.what.as_str()),
                ("home", "cannot fetch x: refused")
            );
            assert_eq!(trouble.to_string(), printed);
            let stored = serde_json::to_string(&trouble).unwrap();
            assert_eq!(serde_json::from_str::<SourceTrouble>(&stored).unwrap(), trouble);
        }
    }
}
