//! How many replicas, how they are replaced, and what happens when their process ends.

/// `deploy`, and `scale`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deploy {
    /// How many are asked for.
    pub replicas: u32,
    /// `update_config.order`; absent: decided by what the service is.
    pub order: Option<UpdateOrder>,
}

impl Default for Deploy {
    fn default() -> Self {
        Self { replicas: 1, order: None }
    }
}

/// Which of two tasks of a slot goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpdateOrder {
    /// The new one starts before the old one stops.
    StartFirst,
    /// The old one stops before the new one starts.
    StopFirst,
}

/// The restart policy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Restart {
    /// Never.
    #[default]
    No,
    /// Whatever the exit code.
    Always,
    /// After an exit code other than 0.
    OnFailure {
        /// How many times; absent: without end.
        max: Option<u32>,
    },
    /// Whatever the exit code, unless a person stopped it.
    UnlessStopped,
}
