//! A field's value, comparable and printable, in one unit for each kind.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// What a row of the field table yields.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Value {
    /// Not set: the default, or the image's.
    #[default]
    Unset,
    /// Yes or no.
    Bool(bool),
    /// A count.
    Number(i64),
    /// Bytes.
    Bytes(u64),
    /// Nanoseconds of CPU per second.
    Cpus(u64),
    /// Milliseconds.
    Millis(u64),
    /// A text.
    Text(String),
    /// Texts in order.
    List(Vec<String>),
    /// Texts by key.
    Map(BTreeMap<String, String>),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unset => f.write_str("unset"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(value) => write!(f, "{value}"),
            Self::Bytes(value) => f.write_str(&bytes(*value)),
            Self::Cpus(value) => write!(f, "{}", trimmed(*value, 1_000_000_000)),
            Self::Millis(value) => write!(f, "{}s", trimmed(*value, 1_000)),
            Self::Text(value) => f.write_str(value),
            Self::List(values) => write!(f, "[{}]", values.join(", ")),
            Self::Map(values) => {
                let pairs: Vec<_> =
                    values.iter().map(|(key, value)| format!("{key}={value}")).collect();
                write!(f, "{{{}}}", pairs.join(", "))
            }
        }
    }
}

/// Exact: a unit only where it divides the value, so that two different values never print alike.
fn bytes(value: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.iter().find(|(size, _)| value >= *size && value.is_multiple_of(*size)) {
        Some((size, unit)) => format!("{}{unit}", value / size),
        None => format!("{value}B"),
    }
}

fn trimmed(value: u64, unit: u64) -> String {
    let (whole, rest) = (value / unit, value % unit);
    if rest == 0 {
        return whole.to_string();
    }
    let digits = unit.ilog10() as usize;
    format!("{whole}.{rest:0digits$}").trim_end_matches('0').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_print_exactly() {
        let cases = [
            (Value::Bytes(64 << 20), "64MiB"),
            (Value::Bytes((64 << 20) + 1), "67108865B"),
            (Value::Bytes(0), "0B"),
            (Value::Cpus(1_500_000_000), "1.5"),
            (Value::Cpus(10_000_000), "0.01"),
            (Value::Millis(90_000), "90s"),
            (Value::Millis(1_250), "1.25s"),
            (Value::List(vec!["a".into(), "b".into()]), "[a, b]"),
            (Value::Unset, "unset"),
        ];
        for (value, printed) in cases {
            assert_eq!(value.to_string(), printed);
        }
    }
}
