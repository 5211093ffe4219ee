//! Starts a program on a node of the lab. It outlives whoever starts it, and that one's terminal.

use crate::layout::Layout;
use crate::network::namespace::inside;
use crate::runtime::cgroup::Home;
use crate::sys;
use nix::sched::{CloneFlags, unshare};
use nix::unistd::sethostname;
use std::io;
use std::os::fd::BorrowedFd;
use std::process::Command;

/// Where a program is started.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The node's network.
    pub netns: BorrowedFd<'a>,
    /// What the node is called.
    pub hostname: &'a str,
    /// Whose cgroup it lives in.
    pub home: &'a Layout,
}

/// Starts a program with a session, a host name and a cgroup of its own; its pid.
pub fn launch(command: &mut Command, place: &Place<'_>) -> io::Result<u32> {
    sys::born_in_own_session(sys::born_alone(command));
    let child = inside(place.netns, || {
        unshare(CloneFlags::CLONE_NEWUTS)?;
        sethostname(place.hostname)?;
        command.spawn()
    })?;
    if let Some(home) = Home::of(&place.home.cgroup())? {
        home.admit(child.id())?;
    }
    Ok(child.id())
}
