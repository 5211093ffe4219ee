//! What a task's process has and sees, put back as its run was given it.

use crate::Layout;
use crate::root::record::Process;
use crate::task::step_error::{Stepped, cannot};
use crate::view::read::inside::{in_namespaces, path};
use crate::view::read::limits_of_run;
use keel_engine::TaskAssignment;
use rustix::io::Errno;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use std::collections::BTreeMap;
use std::{fs, io};

/// Kernel parameters and resource limits that somebody changed.
pub(super) fn restore(layout: &Layout, wish: &TaskAssignment, process: &Process) -> Stepped<()> {
    set_parameters(process, &wish.spec.sysctls).map_err(cannot("set sysctls"))?;
    for (name, soft, hard) in limits_of_run(layout, wish).unwrap_or_default() {
        set_limit(process, &name, soft, hard).map_err(cannot(format!("set ulimit {name}")))?;
    }
    Ok(())
}

/// Writes only what differs.
fn set_parameters(process: &Process, wanted: &BTreeMap<String, String>) -> io::Result<()> {
    if wanted.is_empty() {
        return Ok(());
    }
    let words = |text: &str| text.split_ascii_whitespace().map(str::to_owned).collect::<Vec<_>>();
    in_namespaces(process, || {
        for (key, value) in wanted {
            if words(&fs::read_to_string(path(key))?) != words(value) {
                fs::write(path(key), value)?;
            }
        }
        Ok(())
    })
}

fn set_limit(process: &Process, name: &str, soft: u64, hard: u64) -> io::Result<()> {
    let pid = i32::try_from(process.pid).ok().and_then(Pid::from_raw);
    let (Some(pid), Some(resource)) = (pid, resource(name)) else { return Ok(()) };
    let limit = |value: u64| (value != u64::MAX).then_some(value);
    match prlimit(Some(pid), resource, Rlimit { current: limit(soft), maximum: limit(hard) }) {
        // Without CAP_SYS_RESOURCE a lowered hard limit cannot be raised: it stays a finding, and
        // hinders nothing else.
        Err(Errno::PERM) | Ok(_) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn resource(name: &str) -> Option<Resource> {
    Some(match name {
        "as" => Resource::As,
        "core" => Resource::Core,
        "cpu" => Resource::Cpu,
        "data" => Resource::Data,
        "fsize" => Resource::Fsize,
        "locks" => Resource::Locks,
        "memlock" => Resource::Memlock,
        "msgqueue" => Resource::Msgqueue,
        "nice" => Resource::Nice,
        "nofile" => Resource::Nofile,
        "nproc" => Resource::Nproc,
        "rss" => Resource::Rss,
        "rtprio" => Resource::Rtprio,
        "rttime" => Resource::Rttime,
        "sigpending" => Resource::Sigpending,
        "stack" => Resource::Stack,
        _ => return None,
    })
}
