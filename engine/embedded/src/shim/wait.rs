//! What a shim waits for. One call of poll for everything.

use super::attached::Attached;
use super::run::Run;
use super::stdin::Input;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// Something is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ready {
    /// A signal is to be read.
    Signal,
    /// Somebody wants to attach.
    Door,
    /// The client at this place sent something, or left.
    ClientSent(usize),
    /// The client at this place takes more.
    ClientTakes(usize),
    /// The run's source at this place has output.
    Output(usize),
    /// The container takes input.
    Input,
    /// An adopted process ended.
    Ended,
    /// A check said something.
    Probe,
}

/// Waits until something is ready or the time has come.
pub fn wait(
    signals: BorrowedFd<'_>,
    attached: &Attached,
    input: &Input,
    run: Option<&Run>,
    timeout: Option<Duration>,
) -> Vec<Ready> {
    let mut what = vec![Ready::Signal];
    let mut fds = vec![PollFd::from_borrowed_fd(signals, PollFlags::IN)];
    let mut add = |ready, fd, flags| {
        what.push(ready);
        fds.push(PollFd::from_borrowed_fd(fd, flags));
    };
    if let Some(door) = attached.door() {
        add(Ready::Door, door, PollFlags::IN);
    }
    for (place, (socket, unsent)) in attached.sockets().enumerate() {
        if !input.is_full() {
            add(Ready::ClientSent(place), socket, PollFlags::IN);
        }
        if unsent {
            add(Ready::ClientTakes(place), socket, PollFlags::OUT);
        }
    }
    if let Some(blocked) = input.blocked() {
        add(Ready::Input, blocked, PollFlags::OUT);
    }
    if let Some(run) = run {
        watch(run, attached.is_behind(), &mut add);
    }
    let timeout = timeout.map(|timeout| Timespec {
        tv_sec: timeout.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    });
    // Interrupted or not: whoever is not ready is asked again.
    let _ = poll(&mut fds, timeout.as_ref());
    let ready = what.iter().zip(&fds).filter(|(_, fd)| !fd.revents().is_empty());
    ready.map(|(what, _)| *what).collect()
}

fn watch<'a>(run: &'a Run, behind: bool, add: &mut impl FnMut(Ready, BorrowedFd<'a>, PollFlags)) {
    use std::os::fd::AsFd;
    // Whoever is attached and reads slowly slows the container down.
    for (place, source) in run.sources.iter().enumerate().filter(|_| !behind) {
        add(Ready::Output(place), source.fd.as_fd(), PollFlags::IN);
    }
    if run.adopted {
        add(Ready::Ended, run.pidfd.as_fd(), PollFlags::IN);
    }
    if let Some(output) = run.probe.as_ref().and_then(super::check_run::Probe::output) {
        add(Ready::Probe, output, PollFlags::IN);
    }
}
