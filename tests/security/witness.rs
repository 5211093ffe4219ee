//! What lies on the host and must be as it was: a secret, a folder, programs, the kernel's switches,
//! devices, mounts.

use keel_names::Digest;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Files whose text is a switch of the whole machine.
const SWITCHES: [&str; 8] = [
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/modprobe",
    "/proc/sys/kernel/sysrq",
    "/proc/sys/kernel/hostname",
    "/proc/sys/kernel/panic",
    "/proc/sys/vm/overcommit_memory",
    "/sys/kernel/uevent_helper",
    "/sys/power/state",
];

/// What was there before an attack.
pub struct Witness {
    folder: tempfile::TempDir,
    secret: String,
    before: BTreeMap<String, String>,
}

impl Witness {
    /// Puts up what can be stolen, and writes down what can be changed.
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("keel-canary-").tempdir().unwrap();
        let secret = fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap().trim().to_owned();
        fs::write(folder.path().join("secret"), format!("canary-{secret}\n")).unwrap();
        fs::set_permissions(folder.path().join("secret"), fs::Permissions::from_mode(0o600))
            .unwrap();
        fs::create_dir(folder.path().join("folder")).unwrap();
        fs::write(folder.path().join("program"), "#!/bin/sh\necho the-hosts-program-ran\n")
            .unwrap();
        fs::set_permissions(folder.path().join("program"), fs::Permissions::from_mode(0o755))
            .unwrap();
        let mut witness = Self { folder, secret, before: BTreeMap::new() };
        witness.before = witness.look();
        witness
    }

    /// A file with a secret that no container may read.
    pub fn secret_file(&self) -> PathBuf {
        self.folder.path().join("secret")
    }

    /// An empty folder that no container may write to.
    pub fn empty_folder(&self) -> PathBuf {
        self.folder.path().join("folder")
    }

    /// A program that no container may execute or change.
    pub fn program(&self) -> PathBuf {
        self.folder.path().join("program")
    }

    /// Nothing that a container said has the secret in it.
    #[track_caller]
    pub fn kept_from(&self, said: &str) {
        assert!(!said.contains(&self.secret), "the host's file was read:\n{said}");
        assert!(!said.contains("the-hosts-program-ran"), "the host's program ran:\n{said}");
    }

    /// All is as it was.
    #[track_caller]
    pub fn holds(&self) {
        let after = self.look();
        for (what, before) in &self.before {
            let now = after.get(what).map_or("gone", String::as_str);
            assert_eq!(before, now, "{what} of the host has changed");
        }
        let new: Vec<_> = after.keys().filter(|what| !self.before.contains_key(*what)).collect();
        assert!(new.is_empty(), "new on the host: {new:?}");
    }

    fn look(&self) -> BTreeMap<String, String> {
        let mut seen = BTreeMap::new();
        for path in [self.secret_file(), self.program(), env!("CARGO_BIN_EXE_keel").into()] {
            seen.insert(path.display().to_string(), file(&path));
        }
        for path in SWITCHES {
            if let Ok(text) = fs::read_to_string(path) {
                seen.insert(path.to_owned(), text);
            }
        }
        let folders = [self.folder.path().to_owned(), self.empty_folder(), "/etc/cron.d".into()];
        for folder in folders {
            seen.insert(folder.display().to_string(), names(&folder).join("\n"));
        }
        seen.insert("release agents".into(), release_agents());
        seen.insert("mounts".into(), mounts());
        seen.extend(devices());
        seen
    }
}

/// Whoever changed a device of the host has changed it for everybody, this machine's users too.
impl Drop for Witness {
    fn drop(&mut self) {
        let null = Path::new("/dev/null");
        fs::set_permissions(null, fs::Permissions::from_mode(0o666)).ok();
        std::os::unix::fs::chown(null, Some(0), Some(0)).ok();
    }
}

fn file(path: &Path) -> String {
    let (stat, content) = (fs::metadata(path).unwrap(), fs::read(path).unwrap());
    let digest = Digest::of(&content).hex();
    format!("{:o} {}:{} {digest}", stat.mode(), stat.uid(), stat.gid())
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<_> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn release_agents() -> String {
    let agents = names(Path::new("/sys/fs/cgroup")).into_iter().filter_map(|name| {
        let path = format!("/sys/fs/cgroup/{name}/release_agent");
        Some(format!("{path}: {}", fs::read_to_string(&path).ok()?))
    });
    agents.collect()
}

/// Those that no test makes.
fn mounts() -> String {
    let text = fs::read_to_string("/proc/self/mounts").unwrap();
    let ours =
        |line: &str| ["/run/netns", "/keel-", "/.tmp"].iter().any(|part| line.contains(part));
    text.lines().filter(|line| !ours(line)).collect::<Vec<_>>().join("\n")
}

/// Mode, owner and numbers of each device that every machine has.
fn devices() -> BTreeMap<String, String> {
    let list = ["null", "zero", "full", "random", "urandom", "tty", "kmsg", "ptmx", "console"];
    let look = |name: &str| {
        let stat = fs::metadata(Path::new("/dev").join(name)).ok()?;
        let device = stat.file_type().is_char_device();
        let text =
            format!("{device} {:o} {}:{} {}", stat.mode(), stat.uid(), stat.gid(), stat.rdev());
        Some((format!("/dev/{name}"), text))
    };
    list.into_iter().filter_map(look).collect()
}
