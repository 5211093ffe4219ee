//! The processes of a task: its cgroup, and its shim.

use crate::root::record::{Process, ShimState};
use crate::runtime::cgroup::Cgroup;
use crate::task::step_error::{Stepped, cannot};
use crate::{Layout, blocking};
use keel_engine::TaskId;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// What is left in a task's cgroup, and the cgroup.
pub(crate) async fn end_processes(layout: &Layout, id: &TaskId) -> Stepped<()> {
    let cgroup = cgroup(layout, id)?;
    let ended = blocking::run(move || cgroup.kill().and_then(|()| cgroup.remove())).await;
    ended.map_err(cannot("remove the cgroup"))
}

/// A task's cgroup, which need not exist.
pub(crate) fn cgroup(layout: &Layout, id: &TaskId) -> Stepped<Cgroup> {
    Cgroup::at(&format!("{}/{}", layout.cgroup(), id.short())).map_err(cannot("find the cgroup"))
}

/// Tells the shim, if it lives, that its task's records changed.
pub(crate) fn nudge(state: Option<&ShimState>) {
    state.and_then(|state| state.shim.as_ref()).into_iter().for_each(signal_shim);
}

/// Tells a shim that its task's records changed.
pub(crate) fn signal_shim(shim: &Process) {
    if let (true, Ok(pid)) = (shim.lives(), i32::try_from(shim.pid)) {
        // It may have ended this very moment, which its driver hears of anyway.
        let _ = kill(Pid::from_raw(pid), Signal::SIGUSR1);
    }
}
