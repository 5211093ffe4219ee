//! What runs in the container, as whom, and in what surroundings.

use std::collections::BTreeMap;
use std::time::Duration;

/// What runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Process {
    /// `command` in words; absent: the image's; empty: none.
    pub command: Option<Vec<String>>,
    /// `entrypoint` in words; absent: the image's; empty: none. When given, the image's command
    /// does not apply.
    pub entrypoint: Option<Vec<String>>,
    /// The environment, env files included. `None` takes the variable away from the image's.
    pub environment: BTreeMap<String, Option<String>>,
    /// `working_dir`.
    pub working_dir: Option<String>,
    /// `user`: a name or number, with `:group` or without.
    pub user: Option<String>,
    /// `group_add`: names or numbers.
    pub group_add: Vec<String>,
    /// `hostname`.
    pub hostname: Option<String>,
    /// `domainname`.
    pub domainname: Option<String>,
    /// `tty`.
    pub tty: bool,
    /// `stdin_open`.
    pub stdin_open: bool,
    /// `init`; absent: the engine's default.
    pub init: Option<bool>,
    /// `stop_signal`: a name or number; absent: the image's.
    pub stop_signal: Option<String>,
    /// `stop_grace_period`; absent: 10 s.
    pub stop_grace_period: Option<Duration>,
}

/// When to pull the image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PullPolicy {
    /// When it is not there.
    #[default]
    Missing,
    /// Before each start.
    Always,
    /// Not at all; not being there is an error.
    Never,
}
