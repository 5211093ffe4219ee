//! What a container sees of file systems, in the order in which it is mounted.

use super::inputs::{FILE, HostFacts, HostMount, INIT, SELF};
use crate::runtime::oci::Mount;
use keel_engine::{FileMount, TaskSpec, Tmpfs};
use std::path::{Component, Path, PathBuf};

const SHM: u64 = 64 << 20;

/// All mounts: the root, what every container has, then the task's own by depth.
pub fn mounts(task: &TaskSpec, host: &HostFacts) -> Vec<Mount> {
    let mut own: Vec<Mount> = host.mounts.iter().map(bind).collect();
    own.extend(task.tmpfs.iter().map(tmpfs));
    own.extend(task.configs.iter().chain(&task.secrets).map(|file| content(file, host)));
    let taken = |target: &str| own.iter().any(|mount| mount.destination.as_os_str() == target);
    let etc = ["hosts", "hostname", "resolv.conf"].into_iter().filter_map(|name| {
        let target = format!("/etc/{name}");
        let source = host.dir.join("etc").join(name);
        (!taken(&target)).then(|| mount("bind", source, &target, &["rbind", "rprivate"]))
    });
    let usual =
        usual(task).into_iter().filter(|mount| !taken(&mount.destination.to_string_lossy()));
    let mut all = vec![root(host)];
    all.extend(usual);
    all.extend(etc);
    let init = || host.init.clone().unwrap_or_else(|| "keel".into());
    all.extend(task.init.then(|| mount(SELF, init(), INIT, &["ro"])));
    // Stable: two mounts of one depth stay in the order in which they were written.
    own.sort_by_key(|mount| mount.destination.components().count());
    all.extend(own);
    all
}

/// Whether something of the task's own has the root's place, in whatever spelling.
pub fn cover_root(task: &TaskSpec, host: &HostFacts) -> bool {
    let files = task.configs.iter().chain(&task.secrets).map(|file| &file.target);
    let own = host.mounts.iter().map(|mount| &mount.target);
    let mut targets = own.chain(task.tmpfs.iter().map(|tmpfs| &tmpfs.target)).chain(files);
    targets.any(|target| {
        let names = Path::new(target).components().fold(0_usize, |deep, part| match part {
            Component::Normal(_) => deep + 1,
            Component::ParentDir => deep.saturating_sub(1),
            Component::Prefix(_) | Component::RootDir | Component::CurDir => deep,
        });
        names == 0
    })
}

fn mount(kind: &str, source: PathBuf, target: &str, options: &[&str]) -> Mount {
    Mount {
        destination: target.into(),
        kind: Some(kind.to_owned()),
        source: Some(source),
        options: options.iter().map(|option| (*option).to_owned()).collect(),
        beneath: None,
    }
}

fn root(host: &HostFacts) -> Mount {
    let options = host.layers.to_options();
    let options: Vec<_> = options.iter().map(String::as_str).collect();
    mount("overlay", "overlay".into(), "/", &options)
}

/// Terminals of one container. All containers share what the kernel has for them (3072, `kernel.pty.max` less
/// `kernel.pty.reserve`): one that takes all it gets leaves some to the others' `exec -t`.
const TERMINALS: &str = "max=1024";

#[rustfmt::skip]
fn usual(task: &TaskSpec) -> Vec<Mount> {
    let size = format!("size={}", task.shm_size.unwrap_or(SHM));
    let access = if task.privileged { "rw" } else { "ro" };
    vec![
        mount("proc", "proc".into(), "/proc", &["nosuid", "noexec", "nodev"]),
        mount("tmpfs", "tmpfs".into(), "/dev", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount("devpts", "devpts".into(), "/dev/pts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5", TERMINALS]),
        mount("sysfs", "sysfs".into(), "/sys", &["nosuid", "noexec", "nodev", access]),
        mount("cgroup", "cgroup".into(), "/sys/fs/cgroup", &["nosuid", "noexec", "nodev", "relatime", access]),
        mount("mqueue", "mqueue".into(), "/dev/mqueue", &["nosuid", "noexec", "nodev"]),
        mount("tmpfs", "shm".into(), "/dev/shm", &["nosuid", "noexec", "nodev", "mode=1777", &size]),
    ]
}

fn bind(volume: &HostMount) -> Mount {
    let access = if volume.read_only { "ro" } else { "rw" };
    let propagation = volume.propagation.as_deref().unwrap_or("rprivate");
    let source = volume.source.clone();
    let bind = mount("bind", source, &volume.target, &["rbind", access, propagation]);
    Mount { beneath: volume.beneath.clone(), ..bind }
}

/// docker's defaults come first, so that `exec` and its like undo them.
fn tmpfs(tmpfs: &Tmpfs) -> Mount {
    let mut options = vec!["noexec".to_owned(), "nosuid".to_owned(), "nodev".to_owned()];
    options.push(format!("mode={:o}", tmpfs.mode.unwrap_or(0o1777)));
    options.extend(tmpfs.size.map(|size| format!("size={size}")));
    options.extend(tmpfs.options.iter().cloned());
    let options: Vec<_> = options.iter().map(String::as_str).collect();
    mount("tmpfs", "tmpfs".into(), &tmpfs.target, &options)
}

fn content(file: &FileMount, host: &HostFacts) -> Mount {
    let options = [
        format!("mode={:o}", file.mode.unwrap_or(0o444)),
        format!("uid={}", file.uid),
        format!("gid={}", file.gid),
    ];
    let options = options.each_ref().map(String::as_str);
    mount(FILE, host.secrets.join(file.digest.hex()), &file.target, &options)
}
