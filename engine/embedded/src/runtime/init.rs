//! The first process of a container, from its birth in fresh namespaces to exec.

use super::bundle::SELF;
use super::cgroup::Hierarchies;
use super::channel::Channel;
use super::execute::{Filter, Program};
use super::failure::{AtStep, Failure};
use super::mount_options::Options;
use super::oci::{Mount, Spec};
use super::stdio::{Stdio, use_stdio};
use super::{mounting, rootfs, seal, terminal};
use crate::root::layout::TaskDir;
use crate::root::places::{self, Places};
use nix::sched::CloneFlags;
use rustix::fs::Mode;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// A container that is about to be: what was prepared in the host's namespaces.
#[derive(Debug)]
pub struct Container {
    spec: Spec,
    place: PathBuf,
    parts: BTreeMap<usize, OwnedFd>,
    /// As the host has them: from within a cgroup namespace none of them shows all of itself.
    cgroups: Hierarchies,
    program: Program,
    stdio: Stdio,
}

impl Container {
    /// Opens what can only be opened on the host's side.
    pub fn prepare(dir: &Path, spec: Spec, stdio: Stdio) -> Result<Self, Failure> {
        let program = Program::prepare(&spec)?;
        let parts = parts(dir, &spec)?;
        let cgroups = Hierarchies::read().step("read the host's cgroups")?;
        Ok(Self { spec, place: dir.to_owned(), parts, cgroups, program, stdio })
    }

    /// Becomes the container's program; returns only where that failed.
    pub fn become_it(self, channel: &Channel) -> Failure {
        let program = match self.assemble(channel) {
            Ok(program) => program,
            Err(failure) => return failure,
        };
        match program.settle(Some(channel.as_fd()), Filter::Early) {
            Ok(settled) => settled.execute(),
            Err(failure) => failure,
        }
    }

    fn assemble(self, channel: &Channel) -> Result<Program, Failure> {
        rustix::process::umask(Mode::empty());
        rustix::process::setsid().step("start a session")?;
        // Only now, so that its own cgroup is the root that it sees.
        nix::sched::unshare(CloneFlags::CLONE_NEWCGROUP).step("hide the host's cgroups")?;
        let built = rootfs::assemble(&self.spec, &self.place, self.parts, &self.cgroups)?;
        if let Some(name) = &self.spec.hostname {
            nix::unistd::sethostname(name).step("set the host name")?;
        }
        match &self.stdio {
            Stdio::Terminal(size) => terminal::give(&built, *size, channel)?,
            Stdio::Pipes { input, output, error } => {
                use_stdio(input.as_fd(), output.as_fd(), error.as_fd())?;
            }
        }
        rootfs::enter(&built.root, self.spec.root.readonly)?;
        Ok(self.program)
    }
}

/// Binds, as mounts of their own, by their place in the specification's list.
fn parts(dir: &Path, spec: &Spec) -> Result<BTreeMap<usize, OwnedFd>, Failure> {
    let layout = TaskDir(dir.to_owned()).layout();
    let layout = layout.ok_or(io::ErrorKind::InvalidInput).step("find the root")?;
    // Anew at each run: containers that ran since may have left links.
    let places = Places::load(&layout).step("read which folders containers write")?;
    let mut parts = BTreeMap::new();
    for (at, mount) in spec.mounts.iter().enumerate() {
        match mount.kind.as_deref() {
            Some("bind") => parts.insert(at, bound(&places, mount)?),
            Some(SELF) => {
                let copy = mount.source.as_deref().unwrap_or(Path::new(""));
                parts.insert(at, init_program(dir, copy)?)
            }
            _ => None,
        };
    }
    Ok(parts)
}

/// What is mounted is what was opened: its path is not looked at again.
fn bound(places: &Places, mount: &Mount) -> Result<OwnedFd, Failure> {
    let source = mount.source.as_deref().unwrap_or(Path::new(""));
    let step = format_args!("bind `{}`", source.display()).to_string();
    let found = places.open(source, mount.beneath.as_deref());
    let found = found.map_err(|error| Failure::at(&step, places::in_words(&error)))?;
    mounting::part_opened(found.opened.as_fd(), &Options::sort(mount.words())).step(step)
}

/// The program that is process 1 of a container with `init: true`: a copy of this one that is the
/// root's own; where the kernel mounts no part of what is attached to nothing, the container's own.
fn init_program(dir: &Path, copy: &Path) -> Result<OwnedFd, Failure> {
    if copy.is_absolute()
        && let Ok(part) = seal::part_of(copy)
    {
        return Ok(part);
    }
    let copy = own_copy(dir)?;
    let options = Options::sort(["ro", "nosuid", "nodev"]);
    mounting::part_of_host(&copy, &options).step(format_args!("bind `{}`", copy.display()))
}

/// A copy of this program that only this container ever sees: whatever it does to it, it does to
/// itself.
fn own_copy(dir: &Path) -> Result<PathBuf, Failure> {
    let (copy, new) = (dir.join("init"), dir.join(".init.new"));
    if !copy.exists() {
        fs::copy("/proc/self/exe", &new).step("copy the init")?;
        fs::rename(&new, &copy).step("copy the init")?;
    }
    Ok(copy)
}
