//! The root's networks: what was asked for, and what it became on this host.
//!
//! # Invariants
//! - A network is one file, `networks/NAME`; it is there before its bridge and after it.
//! - Whoever makes, joins or removes one holds [`Networks::turn`]: subnets, addresses and ports are
//!   chosen against what the others have.

use crate::blocking::failed;
use crate::network::{self, Network};
use crate::task::step_error::{StepError, Stepped};
use crate::volumes::check_name;
use crate::{Layout, clock, root::record};
use keel_engine::fields::{Cost, NETWORK_FIELDS, resource_diff};
use keel_engine::{EngineError, Failure, NetworkSpec, Result, Thing, stored_failure};
use serde::{Deserialize, Serialize};
use std::borrow::Borrow;
use std::fs;
use std::io;
use tokio::sync::{Mutex, MutexGuard};

/// What stands in `networks/NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Stored {
    pub(crate) spec: NetworkSpec,
    pub(crate) created: u64,
    /// It shall go once no task is in it.
    pub(crate) absent: bool,
    /// Once it is made.
    pub(crate) made: Option<Network>,
    /// Why it could not be made or removed.
    #[serde(flatten, with = "stored_failure")]
    pub(crate) message: Option<Failure>,
    /// The start of the machine in which it was made whole last; empty in records of older versions.
    #[serde(default)]
    pub(crate) boot: String,
}

impl Stored {
    /// Whether it was made since the machine started. What a start takes away, no person did: until a
    /// task asks for the network again, there is nothing that it should be.
    pub(crate) fn is_of_this_boot(&self) -> bool {
        self.made.is_some() && (self.boot.is_empty() || self.boot == keel_durable::boot_id())
    }
}

/// The one place for changes of networks.
#[derive(Default)]
pub(crate) struct Networks {
    turn: Mutex<()>,
}

impl Networks {
    /// Nobody else changes networks, addresses or ports until this is dropped.
    pub(crate) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }
}

/// The names of all networks, ordered.
pub(crate) fn names(layout: &Layout) -> Result<Vec<String>> {
    let folder = layout.networks();
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(format!("cannot read {}", folder.display()))(error)),
    };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<_> = names.filter(|name| !name.starts_with('.')).collect();
    names.sort();
    Ok(names)
}

pub(crate) fn load(layout: &Layout, name: &str) -> Result<Option<Stored>> {
    let path = layout.networks().join(name);
    record::load(&path).map_err(failed(format!("cannot read {}", path.display())))
}

fn store(layout: &Layout, network: &Stored) -> Result<()> {
    let path = layout.networks().join(&network.spec.name);
    let folder = layout.networks();
    let made = if folder.is_dir() { Ok(()) } else { keel_durable::make_folder(&folder, 0o755) };
    made.and_then(|()| record::store(&path, network))
        .map_err(failed(format!("cannot write {}", path.display())))
}

/// Those that are made.
pub(crate) fn made<S: Borrow<Stored>>(all: &[S]) -> impl Iterator<Item = &Network> {
    all.iter().filter_map(|stored| stored.borrow().made.as_ref())
}

/// Stores that a network shall be.
pub(crate) fn wish(layout: &Layout, spec: &NetworkSpec) -> Result<()> {
    check_name("network", &spec.name)?;
    let known = load(layout, &spec.name)?;
    // One that is there goes on, whatever an older version took its driver for.
    if known.as_ref().is_none_or(|known| known.made.is_none()) {
        network::can_be_made(spec).map_err(|error| EngineError::Conflict {
            what: error.to_string(),
            hint: error.hint(),
        })?;
    }
    let stored = match known {
        Some(known) => {
            changes_in_place(&known.spec, spec)?;
            Stored { spec: spec.clone(), absent: false, ..known }
        }
        None => Stored { spec: spec.clone(), created: clock::now(), ..Stored::default() },
    };
    store(layout, &stored)
}

fn changes_in_place(from: &NetworkSpec, to: &NetworkSpec) -> Result<()> {
    let differences = resource_diff(NETWORK_FIELDS, from, to);
    let other = differences.iter().filter(|difference| difference.cost == Cost::Replace);
    let other: Vec<_> = other.map(|difference| format!("`{}`", difference.name)).collect();
    if other.is_empty() {
        return Ok(());
    }
    Err(EngineError::Conflict {
        what: format!("network {} exists with another {}", to.name, other.join(" and ")),
        hint: Some("remove it first".into()),
    })
}

/// Stores that a network shall go.
pub(crate) fn unwish(layout: &Layout, name: &str) -> Result<()> {
    match load(layout, name)? {
        Some(stored) => store(layout, &Stored { absent: true, ..stored }),
        None => Ok(()),
    }
}

/// A task has left a network: one that goes with its last task shall go once nobody is in it.
pub(crate) fn left(layout: &Layout, name: &str) -> Result<()> {
    match load(layout, name)? {
        Some(stored) if stored.spec.auto_remove => {
            store(layout, &Stored { absent: true, ..stored })
        }
        _ => Ok(()),
    }
}

/// Makes the network, or makes it whole again, beside all others. To be called in one's turn.
pub(crate) fn make<S: Borrow<Stored>>(layout: &Layout, name: &str, all: &[S]) -> Stepped<()> {
    let stored = load(layout, name)?
        .ok_or_else(|| EngineError::NotFound { kind: Thing::Network, name: name.to_owned() })?;
    let others: Vec<_> = made(all).filter(|other| other.name != stored.spec.name).collect();
    match network::ensure_network(layout, &stored.spec, stored.made.as_ref(), &others) {
        Ok(made) => {
            let after = Stored {
                made: Some(made),
                message: None,
                boot: keel_durable::boot_id(),
                ..stored.clone()
            };
            if after != stored {
                store(layout, &after)?;
            }
            Ok(())
        }
        Err(error) => {
            let failure = Failure::from(error);
            store(layout, &Stored { message: Some(failure.clone()), ..stored })?;
            Err(StepError::Retry(failure))
        }
    }
}

/// Takes the network away. To be called in one's turn, with nobody in it.
pub(crate) fn remove<S: Borrow<Stored>>(layout: &Layout, name: &str, all: &[S]) -> Stepped<()> {
    let Some(stored) = load(layout, name)? else { return Ok(()) };
    let rest: Vec<_> = made(all).filter(|other| other.name != stored.spec.name).collect();
    if let Some(made) = &stored.made
        && let Err(error) = network::remove_network(layout, made, &rest)
    {
        let failure = Failure::from(error);
        store(layout, &Stored { message: Some(failure.clone()), ..stored })?;
        return Err(StepError::Retry(failure));
    }
    let path = layout.networks().join(name);
    Ok(fs::remove_file(&path).map_err(failed(format!("cannot remove {}", path.display())))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record as it was written before networks had lists of addresses: it is read, and written back byte for
    /// byte, so that an older version reads it, too.
    #[test]
    fn a_record_of_an_older_version_is_read() {
        let old = r#"{"spec":{"name":"blog_default","driver":"bridge","subnet":"172.30.0.0/24","labels":{"a":"b"}},"created":1,"absent":false,"made":{"name":"blog_default","bridge":"kl3f9c2a-12ab34","subnet":"172.30.0.0/24","gateway":"172.30.0.1","internal":false},"message":null,"boot":"b"}"#;
        let stored: Stored = serde_json::from_str(old).unwrap();
        let made = stored.made.as_ref().unwrap();
        assert_eq!(made.link.as_deref(), Some("kl3f9c2a-12ab34"));
        assert_eq!(made.pools[0].subnet.to_string(), "172.30.0.0/24");
        assert_eq!(made.pools[0].gateway.unwrap().to_string(), "172.30.0.1");
        assert_eq!(stored.spec.pools[0].subnet, Some(made.pools[0].subnet));
        assert_eq!(serde_json::to_string(&stored).unwrap(), old);
    }
}
