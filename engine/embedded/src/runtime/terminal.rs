//! Terminals of a container's processes, from the container's own devpts.

use super::channel::Channel;
use super::failure::{AtStep, Failure};
use super::rootfs::{self, Assembled};
use super::within::Root;
use super::{mounting, stdio};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, ptsname, unlockpt};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Makes one, hands its master over, and makes the slave this process's terminal, input, output
/// and error, and /dev/console.
pub fn give(built: &Assembled, size: Option<(u16, u16)>, channel: &Channel) -> Result<(), Failure> {
    let Some(terminals) = &built.terminals else {
        return Err(Failure::at("make a terminal", "no devpts is mounted"));
    };
    let (master, slave) = make(terminals)?;
    if let Some(size) = size {
        resize(master.as_fd(), size).step("size the terminal")?;
    }
    let name = ptsname(&master, Vec::new()).step("name the terminal")?;
    let name = name.to_string_lossy();
    let name = name.rsplit('/').next().unwrap_or_default();
    let console = mounting::clone_at(terminals.as_fd(), Path::new(name), false);
    let console = console.step("take the terminal")?;
    let target = built.root.file(Path::new("/dev/console"))?;
    // In a /dev of the author's it may be a link.
    rootfs::outside_proc(target.as_fd())?;
    mounting::attach(console.as_fd(), target.as_fd()).step("mount /dev/console")?;
    channel.terminal(master.as_fd()).step("hand the terminal over")?;
    rustix::process::ioctl_tiocsctty(&slave).step("control the terminal")?;
    stdio::use_stdio(slave.as_fd(), slave.as_fd(), slave.as_fd())
}

/// Makes one in a container that runs, hands its master over, and makes the slave this process's
/// input, output and error.
pub fn give_inside(root: &Root, channel: &Channel) -> Result<(), Failure> {
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    let terminals = root.at(Path::new("/dev/pts"), flags).step("find the container's /dev/pts")?;
    // What a container put there in its place may be anything.
    let kind = rustix::fs::fstatfs(&terminals).step("look at the container's /dev/pts")?;
    if kind.f_type != DEVPTS {
        return Err(Failure::at("make a terminal", "the container's /dev/pts is not a devpts"));
    }
    let (master, slave) = make(&terminals)?;
    channel.terminal(master.as_fd()).step("hand the terminal over")?;
    stdio::use_stdio(slave.as_fd(), slave.as_fd(), slave.as_fd())
}

/// What `statfs` calls the file system of terminals (linux/magic.h).
const DEVPTS: i64 = 0x1cd1;

/// A master and its slave.
fn make(terminals: &OwnedFd) -> Result<(OwnedFd, OwnedFd), Failure> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let master = rustix::fs::openat(terminals, "ptmx", flags, Mode::empty());
    let master = master.step("make a terminal")?;
    unlockpt(&master).step("unlock the terminal")?;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let slave = ioctl_tiocgptpeer(&master, flags).step("open the terminal")?;
    Ok((master, slave))
}

/// Gives a terminal so many rows and columns.
pub fn resize(master: BorrowedFd<'_>, (ws_row, ws_col): (u16, u16)) -> io::Result<()> {
    let size = rustix::termios::Winsize { ws_row, ws_col, ws_xpixel: 0, ws_ypixel: 0 };
    Ok(rustix::termios::tcsetwinsize(master, size)?)
}
