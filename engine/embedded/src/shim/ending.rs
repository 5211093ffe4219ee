//! How a run ended, and why. Pure.

use keel_engine::ExitCause;

/// How a process ended, as the kernel tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// With this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// Another shim was its parent; nobody can tell.
    Unseen,
}

impl Ending {
    /// docker's exit code.
    #[must_use]
    pub fn code(self) -> Option<i32> {
        match self {
            Self::Code(code) => Some(code),
            Self::Signal(signal) => Some(128 + signal),
            Self::Unseen => None,
        }
    }
}

/// What else is known.
#[derive(Debug, Clone, Copy, Default)]
pub struct Circumstances {
    /// We sent it a signal in order to end it.
    pub stopped: bool,
    /// The kernel killed something in the cgroup for memory during this run.
    pub out_of_memory: bool,
    /// The machine is going down.
    pub going_down: bool,
}

/// Signals by which people and programs end what is not theirs.
const FROM_OUTSIDE: [i32; 5] =
    [libc::SIGKILL, libc::SIGTERM, libc::SIGINT, libc::SIGQUIT, libc::SIGHUP];

/// Why it ended. A shell reports its killed child as a code of its own, hence 137.
#[must_use]
pub fn cause(ending: Ending, known: Circumstances) -> ExitCause {
    let killed = ending.code() == Some(128 + libc::SIGKILL);
    match ending {
        _ if known.stopped => ExitCause::Stopped,
        _ if killed && known.out_of_memory => ExitCause::OutOfMemory,
        _ if known.going_down => ExitCause::Interrupted,
        Ending::Unseen => ExitCause::Unknown,
        Ending::Signal(signal) if FROM_OUTSIDE.contains(&signal) => ExitCause::KilledFromOutside,
        Ending::Signal(_) | Ending::Code(_) => ExitCause::Own,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_told_apart() {
        let none = Circumstances::default();
        let stopped = Circumstances { stopped: true, ..none };
        let memory = Circumstances { out_of_memory: true, ..none };
        let down = Circumstances { going_down: true, ..none };
        let cases = [
            (Ending::Code(0), none, ExitCause::Own),
            (Ending::Code(3), none, ExitCause::Own),
            (Ending::Code(0), stopped, ExitCause::Stopped),
            (Ending::Signal(9), stopped, ExitCause::Stopped),
            (Ending::Signal(9), memory, ExitCause::OutOfMemory),
            (Ending::Code(137), memory, ExitCause::OutOfMemory),
            (Ending::Code(1), memory, ExitCause::Own),
            (Ending::Signal(15), down, ExitCause::Interrupted),
            (Ending::Signal(9), none, ExitCause::KilledFromOutside),
            (Ending::Signal(15), none, ExitCause::KilledFromOutside),
            (Ending::Signal(11), none, ExitCause::Own),
            (Ending::Signal(10), none, ExitCause::Own),
            (Ending::Unseen, none, ExitCause::Unknown),
        ];
        for (ending, known, expected) in cases {
            assert_eq!(cause(ending, known), expected, "{ending:?} {known:?}");
        }
    }
}
