//! What must be there before a service starts.

/// One entry of `depends_on`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dependency {
    /// What is waited for.
    pub condition: Condition,
    /// Whether it is an error that it is not there.
    pub required: bool,
    /// Whether the service is restarted when the dependency was.
    pub restart: bool,
}

/// What is waited for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Condition {
    /// Its processes run.
    #[default]
    Started,
    /// All its replicas are healthy.
    Healthy,
    /// It ended with exit code 0.
    Completed,
}

impl Default for Dependency {
    fn default() -> Self {
        Self { condition: Condition::Started, required: true, restart: false }
    }
}
