//! Network namespaces that tasks share: whose one a task joins, and whether it is in that one still.
//!
//! # Invariants
//! - A namespace lives as long as anybody is in it: a task that shares one may be left in it, alone,
//!   when the task that it belongs to has begun with another.
//! - What cannot be read is taken to be whole: nothing is guessed.

use crate::root::record::Process;
use crate::task::records::Records;
use keel_engine::NetworkMode;
use std::borrow::Borrow;
use std::path::PathBuf;

/// The task whose namespace this one joins, where there is one.
pub(crate) fn host_of<'a, R: Borrow<Records>>(
    records: &Records,
    all: &'a [R],
) -> Option<&'a Records> {
    let wish = records.latest();
    match (&wish.spec.network_mode, &wish.joins) {
        (NetworkMode::Service(_) | NetworkMode::Container(_), Some(id)) => {
            all.iter().map(R::borrow).find(|other| other.wish.id == *id)
        }
        (NetworkMode::Service(name) | NetworkMode::Container(name), None) => named(all, name),
        _ => None,
    }
}

/// The task with this container name or id; of several, the one that lives.
pub(crate) fn named<'a, R: Borrow<Records>>(all: &'a [R], name: &str) -> Option<&'a Records> {
    let is_meant = |records: &&'a Records| {
        let id = records.wish.id.as_str();
        records.wish.spec.container_name == name || (name.len() >= 4 && id.starts_with(name))
    };
    all.iter()
        .map(R::borrow)
        .filter(is_meant)
        .max_by_key(|records| (holder(records).is_some(), records.work.created))
}

/// Whether a task is in another network namespace than the one that it shares now has.
pub(crate) fn is_apart<R: Borrow<Records>>(records: &Records, all: &[R]) -> bool {
    let Some(host) = host_of(records, all) else { return false };
    let (own, theirs) = (holder(records).and_then(namespace), holder(host).and_then(namespace));
    own.zip(theirs).is_some_and(|(own, theirs)| own != theirs)
}

/// Who is in a task's namespace: its shim; the process alone once that has died.
fn holder(records: &Records) -> Option<&Process> {
    let state = records.state.as_ref()?;
    [&state.shim, &state.process].into_iter().flatten().find(|process| process.lives())
}

/// The network namespace that a process is in.
pub(crate) fn path(process: &Process) -> PathBuf {
    format!("/proc/{}/ns/net", process.pid).into()
}

fn namespace(process: &Process) -> Option<std::ffi::OsString> {
    let link = std::fs::read_link(path(process)).ok()?;
    process.lives().then(|| link.into_os_string())
}
