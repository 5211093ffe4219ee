//! Every exit code that a command ends with.

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done, or nothing to do.
    Done,
    /// Failed.
    Failed,
    /// There are differences (`plan`, `drift`, `status --exit-code`).
    Differences,
    /// Done, but not healthy within the time given.
    Unhealthy,
    /// Called in a way that makes no sense.
    Usage,
    /// `run` and `exec`: the container's own, or 125–127 for what kept it from running.
    Container(i32),
}

impl Exit {
    /// As the process's exit status.
    pub fn code(self) -> i32 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Differences => 2,
            Self::Unhealthy => 3,
            Self::Usage => 64,
            Self::Container(code) => code,
        }
    }
}
