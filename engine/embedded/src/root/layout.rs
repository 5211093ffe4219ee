//! Where things lie below a root, and what they are called outside of it.
//!
//! # Invariants
//! - Two roots on one machine never share a name: links, tables, cgroups and sockets carry
//!   [`Layout::key`], which derives from the root's path.
//! - A root that is made here is closed to others: images hold programs with the setuid bit and
//!   device nodes, volumes and records whatever they like. What holds them is closed once more, for
//!   a root that its owner opens, at each start (CVE-2021-41091).

use keel_engine::TaskId;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The root that an installation has unless told otherwise.
pub const DEFAULT_ROOT: &str = "/var/lib/keel";

/// Below it each root has a folder, by its key, with what its disk does not take.
const LATE: &str = "/run/keel-late";

/// Below it each root has a folder, by its key, with the contents that a controller elsewhere hands it.
const SECRETS: &str = "/run/keel-secrets";

/// What no other user has a business in. `data` and `repos` are not among them: people put files there.
const CLOSED: [&str; 9] = [
    "tasks", "images", "volumes", "networks", "secrets", "trees", "programs", "records", "sources",
];

/// The paths and names of one root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    root: PathBuf,
    key: String,
}

impl Layout {
    /// For a root, made absolute by the caller.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        let digest = keel_engine::Digest::of(root.as_os_str().as_encoded_bytes());
        Self { root: root.to_owned(), key: digest.hex()[..6].to_owned() }
    }

    /// The root itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Makes the root where it is missing. Its group may pass, to where a socket of its own may be;
    /// a root that is there already is its owner's affair.
    pub(crate) fn make_root(&self) -> io::Result<()> {
        if let Some(parent) = self.root.parent() {
            fs::create_dir_all(parent)?;
        }
        keel_durable::make_folder(&self.root, 0o710)?;
        CLOSED.iter().try_for_each(|name| close(&self.root.join(name)))
    }

    /// Makes the folder of all tasks where it is missing: the sign that a root is in use.
    pub(crate) fn make_tasks(&self) -> io::Result<()> {
        keel_durable::make_folder(&self.tasks(), 0o700)
    }

    /// Six hexadecimal digits that tell this root's things from another's.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Sockets and what a reboot may lose: `/run/keel` for the default root, `ROOT/run` else.
    #[must_use]
    pub fn run(&self) -> PathBuf {
        if self.root == Path::new(DEFAULT_ROOT) {
            "/run/keel".into()
        } else {
            self.root.join("run")
        }
    }

    /// What the root's disk does not take yet.
    #[must_use]
    pub fn late(&self) -> keel_durable::Late {
        keel_durable::Late::new(&self.root, Path::new(LATE).join(&self.key))
    }

    /// The same for who holds the root's lock. Apart, since that is of no use on the disk later.
    #[must_use]
    pub(crate) fn late_holder(&self) -> keel_durable::Late {
        keel_durable::Late::new(&self.root, Path::new(LATE).join(format!("{}-lock", self.key)))
    }

    /// The API's socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.run().join("keel.sock")
    }

    /// Images (the image store's).
    #[must_use]
    pub fn images(&self) -> PathBuf {
        self.root.join("images")
    }

    /// A folder per task.
    #[must_use]
    pub fn tasks(&self) -> PathBuf {
        self.root.join("tasks")
    }

    /// One task's folder.
    #[must_use]
    pub fn task(&self, id: &TaskId) -> TaskDir {
        TaskDir(self.tasks().join(id.as_str()))
    }

    /// Named and anonymous volumes: `volumes/NAME/{spec,data}`.
    #[must_use]
    pub fn volumes(&self) -> PathBuf {
        self.root.join("volumes")
    }

    /// The folders of the host that containers write to ([`crate::root::places`]).
    #[must_use]
    pub fn written(&self) -> PathBuf {
        self.root.join("written")
    }

    /// A file per network: `networks/NAME`.
    #[must_use]
    pub fn networks(&self) -> PathBuf {
        self.root.join("networks")
    }

    /// Content by digest, 0600.
    #[must_use]
    pub fn secrets(&self) -> PathBuf {
        self.root.join("secrets")
    }

    /// Where they are instead on a node of another machine's controller.
    #[must_use]
    pub fn secrets_in_memory(&self) -> PathBuf {
        Path::new(SECRETS).join(&self.key)
    }

    /// Files of revisions by digest ([`crate::root::trees`]).
    #[must_use]
    pub fn trees(&self) -> PathBuf {
        self.root.join("trees")
    }

    /// Copies of this program: what enters containers never runs from the host's own file.
    #[must_use]
    pub fn programs(&self) -> PathBuf {
        self.root.join("programs")
    }

    /// The cgroup that holds those of all tasks, relative to a hierarchy's mount point.
    #[must_use]
    pub fn cgroup(&self) -> String {
        format!("keel-{}", self.key)
    }

    /// The nftables table (family inet and ip).
    #[must_use]
    pub fn table(&self) -> String {
        format!("keel_{}", self.key)
    }

    /// A bridge's name, at most 15 bytes: `kl` + key + `-` + six digits of the network's name.
    #[must_use]
    pub fn bridge(&self, network: &str) -> String {
        format!("kl{}-{}", self.key, &keel_engine::Digest::of(network.as_bytes()).hex()[..6])
    }
}

/// Takes what others may do with a folder away. `tasks` alone is not made for that.
fn close(folder: &Path) -> io::Result<()> {
    match fs::symlink_metadata(folder) {
        // Somebody keeps it elsewhere, and has closed it there or not.
        Ok(found) if !found.is_dir() => Ok(()),
        Ok(found) if found.permissions().mode() & 0o077 == 0 => Ok(()),
        Ok(_) => fs::set_permissions(folder, fs::Permissions::from_mode(0o700)),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Err(_) if folder.ends_with("tasks") => Ok(()),
        Err(_) => DirBuilder::new().recursive(true).mode(0o700).create(folder),
    }
}

/// One task's folder. One writer for each file: `assignment`, `work` and `config.json` are the
/// engine's; `state` and the logs the shim's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskDir(pub PathBuf);

impl TaskDir {
    /// Whether the task is one still, asked away from the threads that serve.
    pub(crate) async fn is_assigned(&self) -> bool {
        let assignment = self.assignment();
        crate::blocking::run(move || assignment.exists()).await
    }

    /// The root's copies of this program: [`Layout::programs`], seen from here.
    #[must_use]
    pub fn programs(&self) -> PathBuf {
        let root = self.0.parent().and_then(Path::parent).unwrap_or(&self.0);
        root.join("programs")
    }

    /// The root that it belongs to.
    #[must_use]
    pub fn layout(&self) -> Option<Layout> {
        Some(Layout::new(self.0.parent()?.parent()?))
    }

    /// [`keel_engine::TaskAssignment`]: the wish, as last assigned.
    #[must_use]
    pub fn assignment(&self) -> PathBuf {
        self.0.join("assignment")
    }

    /// The wish that follows once that one's stop is done.
    #[must_use]
    pub fn following(&self) -> PathBuf {
        self.0.join("following")
    }

    /// [`crate::root::record::Work`]: how far the engine got with it.
    #[must_use]
    pub fn work(&self) -> PathBuf {
        self.0.join("work")
    }

    /// [`crate::root::record::ShimState`]: what its process does.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.0.join("state")
    }

    /// The last signal that a person sent to its process through the engine, and when.
    #[must_use]
    pub fn signalled(&self) -> PathBuf {
        self.0.join("signalled")
    }

    /// Every file that is read to know what the task is and does.
    #[must_use]
    pub fn records(&self) -> [PathBuf; 5] {
        [self.assignment(), self.following(), self.work(), self.state(), self.signalled()]
    }

    /// The OCI runtime specification of its runs.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.0.join("config.json")
    }

    /// The writable layer: overlayfs `upper` and `work`.
    #[must_use]
    pub fn upper(&self) -> PathBuf {
        self.0.join("upper")
    }

    /// overlayfs's own folder.
    #[must_use]
    pub fn overlay_work(&self) -> PathBuf {
        self.0.join("overlay")
    }

    /// Its output, in the CRI log format; rotated to `log.1`, `log.2`.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.0.join("log")
    }

    /// The shim's socket for attaching; speaks [`keel_engine::frames`].
    #[must_use]
    pub fn attach(&self) -> PathBuf {
        self.0.join("attach.sock")
    }

    /// `hosts`, `hostname`, `resolv.conf` that are bound into the container.
    #[must_use]
    pub fn etc(&self, name: &str) -> PathBuf {
        self.0.join("etc").join(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_that_is_made_is_closed_to_others() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(&folder.path().join("a/b"));
        let mode = || fs::metadata(layout.root()).unwrap().permissions().mode() & 0o777;
        layout.make_root().unwrap();
        assert_eq!(mode(), 0o710);
        fs::set_permissions(layout.root(), fs::Permissions::from_mode(0o755)).unwrap();
        layout.make_root().unwrap();
        assert_eq!(mode(), 0o755, "its owner may open it");
        let inner = |name: &str| {
            fs::metadata(layout.root().join(name)).unwrap().permissions().mode() & 0o777
        };
        fs::set_permissions(layout.images(), fs::Permissions::from_mode(0o755)).unwrap();
        layout.make_root().unwrap();
        assert_eq!(
            (inner("images"), inner("records")),
            (0o700, 0o700),
            "what is in it stays closed"
        );
        assert!(!layout.tasks().exists());
        layout.make_tasks().unwrap();
        assert_eq!(inner("tasks"), 0o700);
    }

    #[test]
    fn two_roots_share_no_name() {
        let (one, two) = (Layout::new(Path::new("/a")), Layout::new(Path::new("/b")));
        assert_ne!(one.bridge("x_default"), two.bridge("x_default"));
        assert_ne!(one.bridge("x_default"), one.bridge("y_default"));
        assert_ne!(one.table(), two.table());
        assert_ne!(one.cgroup(), two.cgroup());
        assert!(one.bridge("a-very-long-network-name").len() <= 15);
    }
}
