//! Gathers what [`crate::runtime::bundle()`] needs to know of the host, and calls it.

use super::bundle::DeviceNode;
use super::overlay::Layers;
use super::seal;
use crate::root::layout::Layout;
use crate::root::places::{self, Places};
use crate::root::record::Work;
use crate::runtime::{Bundle, BundleError, HostFacts, HostMount, ImageFacts, bundle};
use keel_engine::{Device, TaskAssignment, TaskSpec};
use keel_names::capability;
use nix::sys::resource::{Resource, getrlimit};
use rustix::fs::{FileType, Stat, fstat, major, minor, stat};
use rustix::thread::CapabilitySet;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

/// What a task's specification is made from.
#[derive(Debug)]
pub struct Prepare<'a> {
    /// Where things lie.
    pub layout: &'a Layout,
    /// The wish. Volumes come resolved, in `mounts`.
    pub assignment: &'a TaskAssignment,
    /// Layers are taken from here.
    pub work: &'a Work,
    /// The image's configuration.
    pub image: &'a ImageFacts,
    /// All of the task's volumes (named, anonymous, the image's own), binds and revision files.
    pub mounts: Vec<HostMount>,
}

/// Why there is no specification.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrepareError {
    /// The wish itself.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The host.
    #[error("cannot {what}")]
    Host {
        /// What was tried.
        what: String,
        /// The cause.
        source: io::Error,
    },
}

/// Looks at the host, makes the folders of the task's own layer, and makes the specification.
/// The driver stores it as `config.json` and writes `etc/{hosts,hostname,resolv.conf}`; it holds
/// for all runs of the task.
pub fn prepare(request: &Prepare<'_>) -> Result<Bundle, PrepareError> {
    let dir = request.layout.task(&request.assignment.id);
    let (upper, work) = (dir.upper(), dir.overlay_work());
    for folder in [&upper, &work] {
        fs::create_dir_all(folder).map_err(|source| PrepareError::Host {
            what: format!("make `{}`", folder.display()),
            source,
        })?;
    }
    let short_id = request.assignment.id.short();
    let task = &request.assignment.spec;
    let host = HostFacts {
        short_id: short_id.to_owned(),
        dir: dir.0.clone(),
        // Without, each container gets one of its own when it starts.
        init: task.init.then(|| seal::own_copy(&request.layout.programs(), "init").ok()).flatten(),
        secrets: request.layout.secrets(),
        layers: Layers { lower: request.work.layers.clone(), upper: Some((upper, work)) },
        cgroup: format!("{}/{short_id}", request.layout.cgroup()),
        mounts: request.mounts.clone(),
        devices: devices(request.layout, task)?,
        hard_limits: hard_limits(),
        throttles: throttles(),
        capabilities: own_capabilities(),
    };
    Ok(bundle(task, request.image, &host)?)
}

fn devices(layout: &Layout, task: &TaskSpec) -> Result<Vec<DeviceNode>, PrepareError> {
    let mut nodes = Vec::new();
    for device in &task.devices {
        let what = || format!("find device `{}`", device.source);
        let found = Places::load(layout).and_then(|places| named(&places, device));
        let found = found.map_err(|source| PrepareError::Host { what: what(), source })?;
        nodes.extend(found);
    }
    if task.privileged {
        let all = below(Path::new("/dev"), "/dev", "rwm");
        nodes
            .extend(all.map_err(|source| PrepareError::Host { what: "list /dev".into(), source })?);
    }
    Ok(nodes)
}

/// The device, or all below a folder. A container that writes to where it is grants no other one.
fn named(places: &Places, device: &Device) -> io::Result<Vec<DeviceNode>> {
    let found = places.open(Path::new(&device.source), None);
    let found = found.map_err(|error| io::Error::other(places::in_words(&error)))?;
    if found.is_folder {
        return below(&found.path, &device.target, &device.permissions);
    }
    let node = node(&fstat(&found.opened)?, &device.target, &device.permissions);
    node.map(|node| vec![node]).ok_or_else(|| io::Error::other("not a device"))
}

fn below(folder: &Path, target: &str, access: &str) -> io::Result<Vec<DeviceNode>> {
    // A container has these of its own.
    const OWN: [&str; 5] = ["pts", "shm", "mqueue", "console", "ptmx"];
    let mut nodes = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if OWN.contains(&name.as_str()) {
            continue;
        }
        let target = format!("{target}/{name}");
        let kind = entry.file_type()?;
        if kind.is_dir() {
            nodes.extend(below(&entry.path(), &target, access)?);
        } else if !kind.is_symlink() {
            nodes.extend(node(&stat(entry.path())?, &target, access));
        }
    }
    Ok(nodes)
}

fn node(stat: &Stat, target: &str, access: &str) -> Option<DeviceNode> {
    let block = match FileType::from_raw_mode(stat.st_mode) {
        FileType::BlockDevice => true,
        FileType::CharacterDevice => false,
        _ => return None,
    };
    Some(DeviceNode {
        path: target.to_owned(),
        block,
        major: major(stat.st_rdev),
        minor: minor(stat.st_rdev),
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        access: access.to_owned(),
    })
}

/// Of CPUs that come later, too, where they have a folder already.
fn throttles() -> Vec<String> {
    let cpus = fs::read_dir("/sys/devices/system/cpu").into_iter().flatten().flatten();
    let names = cpus.map(|cpu| cpu.file_name().to_string_lossy().into_owned());
    let numbered = |name: &String| {
        name.strip_prefix("cpu").is_some_and(|number| number.parse::<u32>().is_ok())
    };
    let mut names: Vec<_> = names.filter(numbered).collect();
    names.sort();
    names.iter().map(|name| format!("/sys/devices/system/cpu/{name}/thermal_throttle")).collect()
}

/// Hard limits that this program cannot raise. Where it may raise all, there is still a ceiling
/// to open files.
fn hard_limits() -> BTreeMap<String, u64> {
    if own_capabilities().contains("SYS_RESOURCE") {
        let ceiling = fs::read_to_string("/proc/sys/fs/nr_open").ok();
        let ceiling = ceiling.and_then(|text| text.trim().parse().ok());
        return ceiling.map(|ceiling| ("nofile".to_owned(), ceiling)).into_iter().collect();
    }
    let kinds = [
        ("as", Resource::RLIMIT_AS),
        ("core", Resource::RLIMIT_CORE),
        ("cpu", Resource::RLIMIT_CPU),
        ("data", Resource::RLIMIT_DATA),
        ("fsize", Resource::RLIMIT_FSIZE),
        ("locks", Resource::RLIMIT_LOCKS),
        ("memlock", Resource::RLIMIT_MEMLOCK),
        ("msgqueue", Resource::RLIMIT_MSGQUEUE),
        ("nice", Resource::RLIMIT_NICE),
        ("nofile", Resource::RLIMIT_NOFILE),
        ("nproc", Resource::RLIMIT_NPROC),
        ("rss", Resource::RLIMIT_RSS),
        ("rtprio", Resource::RLIMIT_RTPRIO),
        ("rttime", Resource::RLIMIT_RTTIME),
        ("sigpending", Resource::RLIMIT_SIGPENDING),
        ("stack", Resource::RLIMIT_STACK),
    ];
    let hard = |(name, kind): (&str, Resource)| Some((name.to_owned(), getrlimit(kind).ok()?.1));
    kinds.into_iter().filter_map(hard).collect()
}

fn own_capabilities() -> BTreeSet<String> {
    let own =
        rustix::thread::capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.permitted);
    let has = |(number, _): &(usize, &&str)| own.bits() & 1 << number != 0;
    let all = capability::ALL.iter().enumerate();
    all.filter(has).map(|(_, name)| (*name).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_device_is_found_by_the_hosts_own_links_alone() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path());
        let written = folder.path().join("volumes/a/data");
        fs::create_dir_all(&written).unwrap();
        let find = |path: &Path| {
            symlink("/dev/null", path).unwrap();
            let (source, target) = (path.display().to_string(), "/dev/x".to_owned());
            let device = Device { source, target, permissions: "rwm".into() };
            named(&Places::load(&layout).unwrap(), &device)
        };
        let found = find(&folder.path().join("null")).unwrap();
        assert_eq!((found[0].major, found[0].minor), (1, 3));
        let refused = find(&written.join("null")).unwrap_err().to_string();
        assert!(refused.contains("is a link that leaves"), "{refused}");
    }
}
