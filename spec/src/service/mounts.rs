//! What is mounted into the container.

use crate::stack::HostPath;

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// The path in the container, absolute.
    pub target: String,
    /// Whether the container may not write to it.
    pub read_only: bool,
    /// `x-keel: {shared: true}`: several tasks may write to it at a time.
    pub shared: bool,
    /// What is mounted.
    pub kind: MountKind,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountKind {
    /// A path of the host.
    Bind {
        /// The path, as written.
        source: HostPath,
        /// Whether to make a folder there when nothing is.
        create_host_path: bool,
        /// How later mounts below it travel.
        propagation: Option<Propagation>,
    },
    /// A named volume of the stack.
    Volume {
        /// Its key in [`crate::Stack::volumes`].
        volume: String,
        /// Whether the image's content is not copied into it at first use.
        nocopy: bool,
        /// The part of it that is mounted; absent: all.
        subpath: Option<String>,
    },
    /// A volume without a name, which lives as long as its slot.
    Anonymous {
        /// Whether the image's content is not copied into it at first use.
        nocopy: bool,
    },
    /// Memory.
    Tmpfs {
        /// Size in bytes; absent: the kernel's default.
        size: Option<u64>,
        /// Mode of the mount's root; absent: 1777.
        mode: Option<u32>,
        /// Other mount options, as written: `noexec`, `uid=1000`.
        options: Vec<String>,
    },
}

/// Mount propagation; the `r` forms apply to mounts below, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the kernel's own words")]
pub enum Propagation {
    Private,
    RPrivate,
    Shared,
    RShared,
    Slave,
    RSlave,
}
