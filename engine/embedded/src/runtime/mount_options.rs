//! Mount options as an OCI specification lists them, sorted into what the kernel takes where. Pure.

/// Options of one mount.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// `MOUNT_ATTR_*` of the mount.
    pub attributes: u64,
    /// `MS_PRIVATE` and its like; 0 where none is named.
    pub propagation: u64,
    /// Mounts below the source come along.
    pub recursive: bool,
    /// The rest: the file system's own, `KEY=VALUE` or `KEY`.
    pub own: Vec<String>,
}

impl Options {
    /// Sorts a list.
    #[must_use]
    pub fn sort<'a>(list: impl IntoIterator<Item = &'a str>) -> Self {
        let mut options = Self::default();
        for option in list {
            options.take(option);
        }
        options
    }

    fn take(&mut self, option: &str) {
        if option == "rbind" {
            self.recursive = true;
        } else if let Some((_, set, clear)) = ATTRIBUTES.iter().find(|(name, ..)| *name == option) {
            self.attributes = self.attributes & !clear | set;
        } else if let Some((_, propagation)) = PROPAGATIONS.iter().find(|(name, _)| *name == option)
        {
            self.propagation = *propagation;
        } else if !IGNORED.contains(&option) {
            self.own.push(option.to_owned());
        }
    }
}

/// Option, attributes to set, attributes to clear.
#[rustfmt::skip]
const ATTRIBUTES: &[(&str, u64, u64)] = &[
    ("ro", libc::MOUNT_ATTR_RDONLY, 0),
    ("rw", 0, libc::MOUNT_ATTR_RDONLY),
    ("nosuid", libc::MOUNT_ATTR_NOSUID, 0),
    ("suid", 0, libc::MOUNT_ATTR_NOSUID),
    ("nodev", libc::MOUNT_ATTR_NODEV, 0),
    ("dev", 0, libc::MOUNT_ATTR_NODEV),
    ("noexec", libc::MOUNT_ATTR_NOEXEC, 0),
    ("exec", 0, libc::MOUNT_ATTR_NOEXEC),
    ("nodiratime", libc::MOUNT_ATTR_NODIRATIME, 0),
    ("noatime", libc::MOUNT_ATTR_NOATIME, libc::MOUNT_ATTR__ATIME),
    ("relatime", 0, libc::MOUNT_ATTR__ATIME),
    ("strictatime", libc::MOUNT_ATTR_STRICTATIME, libc::MOUNT_ATTR__ATIME),
];

const PROPAGATIONS: &[(&str, u64)] = &[
    ("private", libc::MS_PRIVATE),
    ("rprivate", libc::MS_PRIVATE),
    ("slave", libc::MS_SLAVE),
    ("rslave", libc::MS_SLAVE),
    ("shared", libc::MS_SHARED),
    ("rshared", libc::MS_SHARED),
];

/// Defaults, and words that say nothing here.
const IGNORED: &[&str] =
    &["bind", "defaults", "async", "z", "Z", "consistent", "cached", "delegated"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_option_goes_where_the_kernel_takes_it() {
        let options = Options::sort(["rbind", "ro", "nosuid", "rslave", "size=64m", "mode=1777"]);
        assert_eq!(options.attributes, libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID);
        assert_eq!(options.propagation, libc::MS_SLAVE);
        assert!(options.recursive);
        assert_eq!(options.own, ["size=64m", "mode=1777"]);
        assert_eq!(Options::sort(["ro", "rw"]).attributes, 0, "the last one wins");
    }
}
