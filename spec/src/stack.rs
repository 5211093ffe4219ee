//! The typed model of a whole stack, after interpolation and merging.
//!
//! # Invariants
//! - References hold: a service names only networks, volumes, configs, secrets and services that
//!   are in the same [`Stack`].
//! - Values are as written. What the host or image decides is absent, not guessed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;

use crate::allow;
use crate::code::Code;
use crate::extension::Policy;
use crate::problem::Problem;
use crate::service::Service;
use crate::span::{Origins, Texts};

pub use crate::held::Held;
pub use crate::host_path::HostPath;

/// One Compose project.
#[derive(Debug, Clone, PartialEq)]
pub struct Stack {
    /// Its name: lower case letters, digits, `-`, `_`.
    pub name: String,
    /// Its services by name, those that a profile disables included.
    pub services: BTreeMap<String, Service>,
    /// Its networks by key, the implicit `default` included where a service uses it.
    pub networks: BTreeMap<String, Network>,
    /// Its volumes by key.
    pub volumes: BTreeMap<String, Volume>,
    /// Its configs by key.
    pub configs: BTreeMap<String, Config>,
    /// Its secrets by key.
    pub secrets: BTreeMap<String, Secret>,
    /// `x-keel` of the stack.
    pub policy: Policy,
    /// `x-keel.allow` of the stack: warnings that are meant.
    pub allow: BTreeSet<Code>,
    /// Where the top-level values were written: `name`, `x-keel.drift`, `services.web`.
    pub origins: Origins,
    /// The text of the files that spans point into.
    pub texts: Texts,
    /// The project's folder, as in [`crate::Project::dir`].
    pub dir: PathBuf,
}

impl Stack {
    /// Whether somebody has said that this warning is meant: in `x-keel.allow` of the stack or
    /// the service, or by a comment on its line.
    pub fn allows(&self, problem: &Problem) -> bool {
        allows(Some(self), &self.texts, problem)
    }
}

/// Whether the problem is a warning that somebody means.
pub(crate) fn allows(stack: Option<&Stack>, texts: &Texts, problem: &Problem) -> bool {
    if problem.is_error() {
        return false;
    }
    let by_stack = |stack: &Stack| {
        let service = problem.service.as_ref().and_then(|name| stack.services.get(name));
        stack.allow.contains(&problem.code)
            || service.is_some_and(|service| service.allow.contains(&problem.code))
    };
    stack.is_some_and(by_stack)
        || problem.span.as_ref().is_some_and(|span| allow::by_comment(texts, span, problem.code))
}

/// A network of the stack.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Network {
    /// The real name, verbatim; without one it is `STACK_KEY`, or the key when external.
    pub name: Option<String>,
    /// It must exist already, and is never created or removed.
    pub external: bool,
    /// `driver`; the engine's own when absent.
    pub driver: Option<String>,
    /// `driver_opts`.
    pub driver_opts: BTreeMap<String, String>,
    /// No way out of it.
    pub internal: bool,
    /// Whether plain containers may join; means nothing on one host.
    pub attachable: bool,
    /// `enable_ipv4`.
    pub enable_ipv4: Option<bool>,
    /// `enable_ipv6`.
    pub enable_ipv6: Option<bool>,
    /// `ipam.driver`.
    pub ipam_driver: Option<String>,
    /// `ipam.config`: the address pools asked for.
    pub pools: Vec<Pool>,
    /// `labels`.
    pub labels: BTreeMap<String, String>,
    /// Where each field was written.
    pub origins: Origins,
    /// Legal keys that this version does not obey; services on the network are held.
    pub held: Vec<Held>,
}

/// One entry of `ipam.config`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pool {
    /// The subnet, its address as written.
    pub subnet: Option<IpNet>,
    /// The part of it that addresses are given from.
    pub ip_range: Option<IpNet>,
    /// The gateway's address.
    pub gateway: Option<IpAddr>,
    /// Addresses that are kept free, by host name.
    pub aux_addresses: BTreeMap<String, IpAddr>,
}

/// A named volume of the stack.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Volume {
    /// The real name, verbatim; without one it is `STACK_KEY`, or the key when external.
    pub name: Option<String>,
    /// It must exist already, and is never created or removed.
    pub external: bool,
    /// `driver`; `local` when absent.
    pub driver: Option<String>,
    /// `driver_opts`.
    pub driver_opts: BTreeMap<String, String>,
    /// `labels`.
    pub labels: BTreeMap<String, String>,
    /// Where each field was written.
    pub origins: Origins,
    /// Legal keys that this version does not obey; services with the volume are held.
    pub held: Vec<Held>,
}

/// A config of the stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The real name, verbatim.
    pub name: Option<String>,
    /// What is in it.
    pub content: Content,
    /// Where each field was written.
    pub origins: Origins,
    /// Legal keys that this version does not obey; services with the config are held.
    pub held: Vec<Held>,
}

/// A secret of the stack. It has a config's shape; its content is never shown.
pub type Secret = Config;

/// Where the content of a config or secret comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum Content {
    /// A file, read when the stack is lowered.
    File(HostPath),
    /// Written in the Compose file.
    Inline(String),
    /// The value that a variable of the project had when the stack was loaded.
    Environment {
        /// The variable.
        variable: String,
        /// Its value.
        value: String,
    },
    /// It must exist already; always held.
    External,
}

/// Values are left out: a secret must not get into a log by way of `{:?}`.
impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "File({})", path.path().display()),
            Self::Inline(_) => f.write_str("Inline"),
            Self::Environment { variable, .. } => write!(f, "Environment({variable})"),
            Self::External => f.write_str("External"),
        }
    }
}
