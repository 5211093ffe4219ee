//! Assembles what a container sees of file systems, in a mount namespace of its own.
//!
//! # Invariants
//! - Everything is mounted by descriptor on a descriptor below the new root ([`Root`]).
//! - The host's tree is gone for good once [`enter`] returns.

use super::bundle::FILE;
use super::failure::{AtStep, Failure};
use super::mount_options::Options;
use super::oci::{Mount, Spec};
use super::overlay::{self, Layers};
use super::within::Root;
use super::{dev, hidden, mounting, staging};
use crate::runtime::cgroup::Hierarchies;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::mount::{UnmountFlags, unmount};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// The assembled root, with what later steps need of it.
#[derive(Debug)]
pub struct Assembled {
    /// The root.
    pub root: Root,
    /// Its devpts.
    pub terminals: Option<OwnedFd>,
}

/// Assembles the root on `place`, a folder that is covered meanwhile. `parts` holds the mounts
/// that were taken from the host's own namespace, by their place in the list.
pub fn assemble(
    spec: &Spec,
    place: &Path,
    mut parts: BTreeMap<usize, OwnedFd>,
    cgroups: &Hierarchies,
) -> Result<Assembled, Failure> {
    mounting::be_private().step("leave the host's mounts")?;
    let list = &spec.mounts;
    let files = list.iter().enumerate().filter(|(_, mount)| mount.kind.as_deref() == Some(FILE));
    parts.extend(staging::files(place, files)?);
    let layers = list.iter().find(|mount| is_root(mount)).map(layers).unwrap_or_default();
    overlay::mount_on(&layers, place)?;
    let mut built = Assembled { root: Root::open(place).step("open the root")?, terminals: None };
    built.name_mounts();
    for (at, mount) in list.iter().enumerate().filter(|(_, mount)| !is_root(mount)) {
        let done = match (parts.remove(&at), mount.kind.as_deref()) {
            (None, Some("cgroup" | "cgroup2")) => built.add_cgroups(mount, cgroups),
            (part, _) => built.add(spec, mount, part),
        };
        done.map_err(|failure| naming(failure, mount))?;
    }
    for device in &spec.linux.devices {
        dev::make(&built.root, device)?;
    }
    hidden::cover(spec, &built.root)?;
    built.root.folder(&spec.process.cwd)?;
    Ok(built)
}

fn is_root(mount: &Mount) -> bool {
    mount.destination == Path::new("/")
}

fn layers(mount: &Mount) -> Layers {
    Layers::from_options(mount.words())
}

fn naming(failure: Failure, mount: &Mount) -> Failure {
    let place = mount.destination.display();
    Failure { message: format!("mount `{place}`: {}", failure.message), ..failure }
}

impl Assembled {
    /// Old programs look for the table of mounts in /etc; an image that has it there keeps it.
    fn name_mounts(&self) {
        let etc = self.root.folder(Path::new("/etc"));
        // Without it those alone do not find their way, and what is wrong with /etc is told by
        // whatever has to be there.
        let _ = etc.map(|etc| rustix::fs::symlinkat("/proc/mounts", &etc, "mtab"));
    }

    fn add(&mut self, spec: &Spec, mount: &Mount, part: Option<OwnedFd>) -> Result<(), Failure> {
        let kind = mount.kind.as_deref().unwrap_or("bind");
        match (part, kind) {
            (Some(part), _) => self.add_part(mount, &part),
            (None, kind) => self.add_file_system(spec, mount, kind),
        }
    }

    fn add_part(&self, mount: &Mount, part: &OwnedFd) -> Result<(), Failure> {
        let stat = rustix::fs::fstat(part).step("look at the source")?;
        let folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        let path = &mount.destination;
        let target = if folder { self.root.folder(path)? } else { self.root.file(path)? };
        let like_lxcfs = !folder && LXCFS.iter().any(|known| path == Path::new(known));
        if !like_lxcfs {
            outside_proc(target.as_fd())?;
        }
        if is_proc_itself(path) && !is_procfs(part.as_fd())? {
            return Err(in_proc());
        }
        mounting::attach(part.as_fd(), target.as_fd()).step("attach")
    }

    fn add_file_system(&mut self, spec: &Spec, mount: &Mount, kind: &str) -> Result<(), Failure> {
        let target = self.place(&mount.destination, kind)?;
        outside_proc(target.as_fd())?;
        if is_proc_itself(&mount.destination) && kind != "proc" {
            return Err(in_proc());
        }
        let name = mount.source.as_ref().map(|name| name.to_string_lossy());
        let options = Options::sort(mount.words());
        let made = mounting::file_system(kind, name.as_deref().unwrap_or(kind), &options);
        let made = made.step("make it")?;
        mounting::attach(made.as_fd(), target.as_fd()).step("attach")?;
        match (kind, mount.destination.to_str()) {
            ("proc", _) => set_parameters(spec, made.as_fd())?,
            ("tmpfs", Some("/dev")) => dev::fill(made.as_fd())?,
            ("devpts", _) => self.terminals = Some(made),
            _ => {}
        }
        Ok(())
    }

    /// The kernel's own file systems lie where they are expected, never behind a link.
    fn place(&self, path: &Path, kind: &str) -> Result<OwnedFd, Failure> {
        let target = self.root.folder(path)?;
        if matches!(kind, "proc" | "sysfs") {
            let below = path.strip_prefix("/").unwrap_or(path);
            let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::BENEATH;
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            return rustix::fs::openat2(&self.root, below, flags, Mode::empty(), resolve)
                .step("find its place without links");
        }
        Ok(target)
    }

    /// Version 2: one file system; version 1: one for each hierarchy, in a folder of memory.
    fn add_cgroups(&self, mount: &Mount, host: &Hierarchies) -> Result<(), Failure> {
        let mut options = Options::sort(mount.words());
        let target = self.root.folder(&mount.destination)?;
        if host.v1.is_empty() {
            let made = mounting::file_system("cgroup2", "cgroup", &options).step("make it")?;
            return mounting::attach(made.as_fd(), target.as_fd()).step("attach");
        }
        let mut by_place: BTreeMap<&PathBuf, Vec<&str>> = BTreeMap::new();
        for (controller, place) in &host.v1 {
            by_place.entry(place).or_default().push(controller);
        }
        let read_only = options.attributes & libc::MOUNT_ATTR_RDONLY != 0;
        let folder = Options::sort(["nosuid", "noexec", "nodev", "mode=755", "size=64k"]);
        let folder = mounting::file_system("tmpfs", "tmpfs", &folder).step("make it")?;
        mounting::attach(folder.as_fd(), target.as_fd()).step("attach")?;
        for (place, controllers) in by_place {
            options.own = controllers.iter().map(|name| (*name).to_owned()).collect();
            let name = place.file_name().unwrap_or(place.as_os_str());
            add_hierarchy(folder.as_fd(), Path::new(name), &options).step("mount controllers")?;
            name_each(folder.as_fd(), name, &controllers).step("name controllers")?;
        }
        if read_only {
            mounting::make_read_only(folder.as_fd(), false).step("make it read-only")?;
        }
        Ok(())
    }
}

/// Files of /proc that programs like LXCFS put their own in the place of.
const LXCFS: [&str; 8] = [
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/slabinfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/uptime",
];

/// What `statfs` calls procfs (linux/magic.h).
const PROCFS: i64 = 0x9fa0;

fn is_procfs(place: BorrowedFd<'_>) -> Result<bool, Failure> {
    Ok(rustix::fs::fstatfs(place).step("look at the file system")?.f_type == PROCFS)
}

/// A mount inside of /proc would hide what masks it, or be what the engine or a program writes to
/// in its belief that the kernel listens.
pub fn outside_proc(target: BorrowedFd<'_>) -> Result<(), Failure> {
    if is_procfs(target)? { Err(in_proc()) } else { Ok(()) }
}

fn in_proc() -> Failure {
    Failure::at("mount in or over /proc", "it is the kernel's: choose another target")
}

fn is_proc_itself(path: &Path) -> bool {
    path == Path::new("/proc")
}

fn add_hierarchy(folder: BorrowedFd<'_>, name: &Path, options: &Options) -> io::Result<()> {
    rustix::fs::mkdirat(folder, name, Mode::from_raw_mode(0o555))?;
    let made = mounting::file_system("cgroup", "cgroup", options)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let target = rustix::fs::openat(folder, name, flags, Mode::empty())?;
    mounting::attach(made.as_fd(), target.as_fd())
}

/// Controllers that share a hierarchy (`cpu,cpuacct`) are found by the name of each.
fn name_each(folder: BorrowedFd<'_>, shared: &OsStr, controllers: &[&str]) -> io::Result<()> {
    for controller in controllers.iter().filter(|name| OsStr::new(name) != shared) {
        rustix::fs::symlinkat(shared, folder, *controller)?;
    }
    Ok(())
}

/// Kernel parameters of the container's own namespaces, through its own /proc.
fn set_parameters(spec: &Spec, proc: BorrowedFd<'_>) -> Result<(), Failure> {
    for (name, value) in &spec.linux.sysctl {
        let path = format!(
            "sys/{}",
            if name.contains('/') { name.clone() } else { name.replace('.', "/") }
        );
        let (flags, resolve) = (OFlags::WRONLY | OFlags::CLOEXEC, ResolveFlags::BENEATH);
        let file = rustix::fs::openat2(proc, path, flags, Mode::empty(), resolve);
        let written = file.and_then(|file| rustix::io::write(file, value.as_bytes()));
        written.step(format_args!("set sysctl {name} to `{value}`"))?;
    }
    Ok(())
}

/// Makes the assembled root the root, and lets go of the host's.
pub fn enter(root: &Root, read_only: bool) -> Result<(), Failure> {
    rustix::process::fchdir(root).step("enter the root")?;
    rustix::process::pivot_root(".", ".").step("change the root")?;
    unmount(".", UnmountFlags::DETACH).step("let go of the host's root")?;
    rustix::process::chdir("/").step("enter the root")?;
    if read_only {
        mounting::make_read_only(root.as_fd(), false).step("make the root read-only")?;
    }
    Ok(())
}
