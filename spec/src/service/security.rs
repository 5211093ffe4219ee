//! What the container may do to the host and the kernel.

use std::collections::BTreeMap;

use crate::stack::HostPath;

/// Privileges of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Security {
    /// `privileged`.
    pub privileged: bool,
    /// `read_only`: the root file system may not be written.
    pub read_only: bool,
    /// `cap_add`: upper case, without `CAP_`; `ALL` is all.
    pub cap_add: Vec<String>,
    /// `cap_drop`, in the same form.
    pub cap_drop: Vec<String>,
    /// `no-new-privileges`.
    pub no_new_privileges: bool,
    /// `seccomp`; absent: the engine's default.
    pub seccomp: Option<Seccomp>,
    /// `apparmor`: a profile, or `unconfined`.
    pub apparmor: Option<String>,
    /// `systempaths=unconfined`: nothing of `/proc` and `/sys` is masked.
    pub unmasked: bool,
    /// `label`: SELinux options, as written.
    pub selinux: Vec<String>,
    /// `sysctls`.
    pub sysctls: BTreeMap<String, String>,
    /// `devices`.
    pub devices: Vec<Device>,
}

/// A seccomp choice other than the default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seccomp {
    /// No filter.
    Unconfined,
    /// A profile in a file. Its service is held.
    Profile(HostPath),
}

/// A device of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its path on the host.
    pub source: String,
    /// Its path in the container.
    pub target: String,
    /// Some of `r`, `w`, `m`.
    pub permissions: String,
}
