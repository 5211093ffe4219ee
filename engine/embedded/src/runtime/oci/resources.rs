//! Limits as the runtime specification writes them ("Control groups" of its Linux part): shims of other versions
//! read the same file.

use keel_engine::{Limit, Limits};
use serde::{Deserialize, Serialize};

/// Microseconds over which processor time is granted.
const PERIOD: u64 = 100_000;
/// Nanoseconds per second for each microsecond of a period.
const NANOS: i64 = 10_000;

/// What a cgroup grants.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub struct Resources {
    /// Which devices may be used.
    pub devices: Vec<DeviceAccess>,
    /// Only what is set is limited.
    pub limits: Limits,
}

/// What kind of device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceKind {
    /// All.
    #[default]
    A,
    /// Block.
    B,
    /// Character.
    C,
    /// Character, unbuffered.
    U,
    /// A named pipe.
    P,
}

/// Leave to use devices.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeviceAccess {
    /// Granted, else denied.
    pub allow: bool,
    /// Of this kind.
    #[serde(rename = "type")]
    pub kind: DeviceKind,
    /// With this number; any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub major: Option<i64>,
    /// With this number; any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minor: Option<i64>,
    /// Letters of `rwm`; all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access: Option<String>,
}

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Stored {
    devices: Vec<DeviceAccess>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<Memory>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu: Option<Cpu>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pids: Option<Pids>,
}

/// In bytes.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Memory {
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<i64>,
    /// With memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    swap: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    swappiness: Option<u64>,
}

/// In microseconds.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Cpu {
    #[serde(skip_serializing_if = "Option::is_none")]
    quota: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    period: Option<u64>,
}

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Pids {
    limit: i64,
}

impl From<Stored> for Resources {
    fn from(stored: Stored) -> Self {
        let Stored { devices, memory, cpu, pids } = stored;
        let memory = memory.unwrap_or_default();
        let positive = |value: i64| u64::try_from(value).ok();
        let found = [
            (Limit::Memory, memory.limit.and_then(positive)),
            (Limit::Swappiness, memory.swappiness),
            (Limit::Cpus, cpu.and_then(|cpu| positive(cpu.quota?.saturating_mul(NANOS)))),
            (Limit::Pids, pids.and_then(|pids| positive(pids.limit))),
        ];
        let set = found.into_iter().filter_map(|(limit, value)| Some((limit, value?)));
        Self { devices, limits: set.collect() }
    }
}

impl From<Resources> for Stored {
    fn from(resources: Resources) -> Self {
        let Resources { devices, limits } = resources;
        let signed = |limit| {
            let value = Limits::get(&limits, &limit)?;
            Some(i64::try_from(*value).unwrap_or(i64::MAX))
        };
        let (limit, swappiness) = (signed(Limit::Memory), limits.get(&Limit::Swappiness).copied());
        let swap = limit.map(|limit| limit.saturating_mul(2));
        let memory = Memory { limit, swap, swappiness };
        let cpu = |nanos: i64| Cpu { quota: Some(nanos / NANOS), period: Some(PERIOD) };
        Self {
            devices,
            memory: (limit.is_some() || swappiness.is_some()).then_some(memory),
            cpu: signed(Limit::Cpus).map(cpu),
            pids: signed(Limit::Pids).map(|limit| Pids { limit }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_stored_as_the_specification_has_them() {
        let limits = [
            (Limit::Memory, 64 << 20),
            (Limit::Swappiness, 10),
            (Limit::Cpus, 500_000_000),
            (Limit::Pids, 50),
        ];
        let resources = Resources { devices: vec![], limits: limits.into() };
        let stored = serde_json::to_value(&resources).unwrap();
        let expected = serde_json::json!({
            "devices": [],
            "memory": { "limit": 67_108_864, "swap": 134_217_728, "swappiness": 10 },
            "cpu": { "quota": 50_000, "period": 100_000 },
            "pids": { "limit": 50 },
        });
        assert_eq!(stored, expected);
        assert_eq!(serde_json::from_value::<Resources>(stored).unwrap(), resources);
        let none = serde_json::json!({ "devices": [], "pids": { "limit": -1 } });
        assert_eq!(serde_json::from_value::<Resources>(none).unwrap(), Resources::default());
    }
}
