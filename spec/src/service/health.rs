//! The health check.

use std::time::Duration;

/// `healthcheck`; what is absent comes from the image's, then from the engine's defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// What is run.
    pub test: Test,
    /// Between two checks; default 30 s.
    pub interval: Option<Duration>,
    /// How long one check may take; default 30 s.
    pub timeout: Option<Duration>,
    /// How many failures in a row make it unhealthy; default 3.
    pub retries: Option<u32>,
    /// How long failures do not count after the start; default 0.
    pub start_period: Option<Duration>,
    /// Between two checks in the start period; default 5 s.
    pub start_interval: Option<Duration>,
}

/// What a health check runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Test {
    /// The image's test.
    #[default]
    Inherit,
    /// Nothing: the image's check is switched off.
    Disabled,
    /// These words.
    Exec(Vec<String>),
    /// This line, by the container's shell.
    Shell(String),
}
