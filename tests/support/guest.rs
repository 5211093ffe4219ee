//! A small virtual machine with a disk that outlives its boots.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A disk with `keel` beside it, for scripts of one folder of `tests/`.
pub struct Guest {
    folder: tempfile::TempDir,
    scripts: PathBuf,
}

impl Guest {
    /// An empty disk of so many MiB.
    pub fn new(scripts: &str, mib: u64) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(scripts);
        let guest = Self { folder, scripts };
        let file = File::create(guest.disk()).expect("a file");
        file.set_len(mib << 20).expect("it is sparse");
        done(Command::new("/sbin/mkfs.ext4").arg("-q").arg(guest.disk()));
        // The guest copies it about, slowly: without what only a debugger reads.
        done(Command::new("strip").arg("-o").arg(guest.keel()).arg(env!("CARGO_BIN_EXE_keel")));
        guest
    }

    /// Boots, with these words for `tests/vm`, and runs a script with `keel` and this path; it must
    /// come to its end.
    #[track_caller]
    pub fn boot(&self, words: &[&str], script: &str, path: &Path) {
        let output = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vm"))
            .args(words)
            .arg("-d")
            .arg(self.disk())
            .args(["--", "bash"])
            .args([&self.scripts.join(script), &self.keel(), path])
            .stdin(Stdio::null())
            .output()
            .expect("tests/vm runs");
        let said = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script}: {}\n{said}\n{errors}", output.status);
        assert!(said.contains("all well"), "{script} came to its end:\n{said}\n{errors}");
    }

    fn disk(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    fn keel(&self) -> PathBuf {
        self.folder.path().join("keel")
    }
}

#[track_caller]
fn done(command: &mut Command) {
    let status = command.status();
    assert!(status.is_ok_and(|status| status.success()), "{command:?}");
}
