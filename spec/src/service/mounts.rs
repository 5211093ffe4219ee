//! What is mounted into the container.

use crate::code::Code;
use crate::decode::Field;
use crate::host_path::HostPath;
use crate::item::Item;
use crate::nearest;
use crate::problem::Problem;
use crate::scalar;

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

/// Reads `volumes`.
pub(crate) fn decode(service: &Field<'_>) -> Vec<Mount> {
    collect(service, "volumes", |field| match field.item.text() {
        Some(text) => short(field, text),
        None => long(field),
    })
}

/// Reads `tmpfs`.
pub(crate) fn tmpfs(service: &Field<'_>) -> Vec<Mount> {
    collect(service, "tmpfs", |field| {
        let text = field.text()?;
        let (target, options) = text.split_once(':').unwrap_or((&text, ""));
        Some(memory(field, target, options))
    })
}

fn collect(
    service: &Field<'_>,
    key: &str,
    read: impl Fn(&Field<'_>) -> Option<Mount>,
) -> Vec<Mount> {
    let mut mounts = Vec::new();
    for field in service.get(key).map(|field| field.list()).unwrap_or_default() {
        let Some(mount) = read(&field) else { continue };
        service.scope.origin(format!("{key}[{}]", mounts.len()), field.place());
        hold_unusual(&field, &mount);
        mounts.push(mount);
    }
    mounts
}

fn hold_unusual(field: &Field<'_>, mount: &Mount) {
    if !mount.target.starts_with('/') {
        field.hold("the path in the container is not absolute");
    }
    if mount.target == "/" {
        let message = format!("{}: nothing can be mounted at `/`", field.name());
        let problem = Problem::new(Code::BadMount, message).at(field.place().clone());
        field.scope.add(problem.hint("it would hide the whole image; name a folder in it"));
    }
    let MountKind::Bind { source, .. } = &mount.kind else { return };
    if matches!(source.written.as_str(), "/var/run/docker.sock" | "/run/docker.sock") {
        field.hold("there is no Docker daemon behind this socket");
    } else if is_foreign(&source.written) {
        field.hold("paths of Windows are not mounted");
    }
}

/// `[SOURCE:]TARGET[:OPTIONS]`.
fn short(field: &Field<'_>, text: &str) -> Option<Mount> {
    let bad = |message: &str| {
        let problem = Problem::new(Code::BadMount, format!("{}: {message}", field.name()));
        let hint = "write `[SOURCE:]TARGET[:ro]`, such as `./data:/var/lib/app`";
        field.scope.add(problem.at(field.place().clone()).hint(hint));
        None
    };
    let (source, target, options) = match split(text)[..] {
        [target] => (None, target, ""),
        [source, target] => (Some(source), target, ""),
        [source, target, options] => (Some(source), target, options),
        _ => return bad("it has too many colons"),
    };
    if target.trim().is_empty() || source.is_some_and(|source| source.trim().is_empty()) {
        return bad("a part of it is empty");
    }
    let options: Vec<&str> = options.split(',').collect();
    options.iter().for_each(|option| judge_option(field, option));
    let kind = match source {
        None => MountKind::Anonymous { nocopy: options.contains(&"nocopy") },
        Some(source) if is_path(source) => MountKind::Bind {
            source: HostPath { written: source.to_owned(), base: field.item.base.to_path_buf() },
            create_host_path: true,
            propagation: options.iter().find_map(|word| propagation(word)),
        },
        Some(volume) => MountKind::Volume {
            volume: volume.to_owned(),
            nocopy: options.contains(&"nocopy"),
            subpath: None,
        },
    };
    let read_only = options.contains(&"ro");
    Some(Mount { target: clean(target), read_only, shared: false, kind })
}

/// Says of an option that it does nothing here. Docker Compose drops what it does not know.
fn judge_option(field: &Field<'_>, option: &str) {
    let (code, message) = match option {
        "" | "ro" | "rw" | "nocopy" | "consistent" | "cached" | "delegated" => return,
        "z" | "Z" => (Code::NoEffect, "has no effect: it is left to the host"),
        word if propagation(word).is_some() => return,
        _ => (Code::Limited, "has no effect: no mount has such an option"),
    };
    let problem = Problem::new(code, format!("`{option}` in {} {message}", field.name()));
    let problem = problem.at(field.place().clone());
    field.scope.add(match crate::nearest::hint(option, OPTIONS.iter().copied()) {
        Some(hint) if code == Code::Limited => problem.hint(hint),
        _ => problem,
    });
}

/// What a short mount may say after its target.
const OPTIONS: [&str; 11] =
    ["ro", "rw", "nocopy", "z", "Z", "private", "rprivate", "shared", "rshared", "slave", "rslave"];

/// The parts between colons; a drive letter's colon is none.
pub(crate) fn split(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    for (index, _) in text.match_indices(':') {
        if index == start + 1 && drive(&text[start..]) {
            continue;
        }
        if index >= start {
            parts.push(&text[start..index]);
            start = index + 1;
        }
    }
    parts.push(&text[start..]);
    parts
}

fn drive(text: &str) -> bool {
    let bytes = text.as_bytes();
    matches!(bytes, [letter, b':', b'\\', ..] if letter.is_ascii_alphabetic())
}

/// Whether it is a path of Windows.
pub(crate) fn is_foreign(source: &str) -> bool {
    drive(source) || source.starts_with('\\')
}

pub(crate) fn is_path(source: &str) -> bool {
    source.starts_with(['.', '/', '~', '\\']) || drive(source)
}

pub(crate) fn propagation(word: &str) -> Option<Propagation> {
    Some(match word {
        "private" => Propagation::Private,
        "rprivate" => Propagation::RPrivate,
        "shared" => Propagation::Shared,
        "rshared" => Propagation::RShared,
        "slave" => Propagation::Slave,
        "rslave" => Propagation::RSlave,
        _ => return None,
    })
}

/// `/data//x/` to `/data/x`.
pub(crate) fn clean(target: &str) -> String {
    if !target.starts_with('/') {
        return target.to_owned();
    }
    crate::files::tidy(target.as_ref()).to_string_lossy().into_owned()
}

fn long(field: &Field<'_>) -> Option<Mount> {
    let Some(kind) = field.get("type") else {
        return field.lacks("type", "`[SOURCE:]TARGET`, or a mapping");
    };
    let kinds = ["bind", "volume", "tmpfs", "image", "npipe", "cluster"];
    let kind_word = kind.choice(&kinds.map(|kind| (kind, kind)))?;
    let target = match field.get("target") {
        Some(target) => clean(&target.text()?),
        None => return field.lacks("target", "a mapping"),
    };
    let flag = |field: &Field<'_>, key| field.get(key).and_then(|field| field.boolean());
    let shared = field.get("x-keel").and_then(|keel| flag(&keel, "shared")).unwrap_or_default();
    let read_only = flag(field, "read_only").unwrap_or_default();
    field.get("consistency").map(|field| field.text());
    let kind = match kind_word {
        "bind" => bind(field)?,
        "volume" => volume(field),
        "tmpfs" => long_tmpfs(field),
        _ => {
            kind.hold("mounts of this type are not made");
            MountKind::Anonymous { nocopy: true }
        }
    };
    Some(Mount { target, read_only, shared, kind })
}

fn bind(field: &Field<'_>) -> Option<MountKind> {
    let Some(source) = field.get("source") else {
        field.refuse(Code::BadMount, format!("{} is a bind without a `source`", field.name()));
        return None;
    };
    let options = field.get("bind");
    let create = options.as_ref().and_then(|bind| bind.get("create_host_path"));
    let word = options.as_ref().and_then(|bind| bind.get("propagation"));
    Some(MountKind::Bind {
        source: source.host_path()?,
        create_host_path: create.and_then(|field| field.boolean()).unwrap_or(true),
        propagation: word
            .and_then(|field| field.parsed("a kind of mount propagation", propagation)),
    })
}

fn volume(field: &Field<'_>) -> MountKind {
    let options = field.get("volume");
    let below = |key: &str| options.as_ref().and_then(|volume| volume.get(key));
    let nocopy = below("nocopy").and_then(|field| field.boolean()).unwrap_or_default();
    match field.get("source").and_then(|source| source.text()) {
        None => MountKind::Anonymous { nocopy },
        Some(volume) => {
            let subpath = below("subpath").and_then(|field| field.text());
            MountKind::Volume { volume, nocopy, subpath }
        }
    }
}

fn long_tmpfs(field: &Field<'_>) -> MountKind {
    let options = field.get("tmpfs");
    let below = |key: &str| options.as_ref().and_then(|tmpfs| tmpfs.get(key));
    MountKind::Tmpfs {
        size: below("size").and_then(|field| field.bytes()).filter(|size| *size > 0),
        mode: below("mode").and_then(|field| super::grants::mode(&field)),
        options: Vec::new(),
    }
}

fn memory(field: &Field<'_>, target: &str, options: &str) -> Mount {
    let (mut size, mut mode, mut rest, mut read_only) = (None, None, Vec::new(), false);
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option.split_once('=') {
            Some(("size", text)) => {
                size = scalar::bytes(text).or_else(|| field.bad("a size such as `size=64m`"));
            }
            Some(("mode", text)) => {
                mode =
                    scalar::mode(text, false).or_else(|| field.bad("a mode such as `mode=1777`"));
            }
            _ if option == "ro" => read_only = true,
            _ if option == "rw" => {}
            _ => {
                if !is_tmpfs_option(option) {
                    no_option(field, option);
                }
                rest.push(option.to_owned());
            }
        }
    }
    let kind = MountKind::Tmpfs { size, mode, options: rest };
    Mount { target: clean(target), read_only, shared: false, kind }
}

fn is_tmpfs_option(option: &str) -> bool {
    match option.split_once('=') {
        Some((name, _)) => TMPFS_VALUES.contains(&name),
        None => TMPFS_FLAGS.contains(&option),
    }
}

const TMPFS_VALUES: [&str; 8] =
    ["size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol", "huge"];

#[rustfmt::skip]
const TMPFS_FLAGS: [&str; 27] = [
    "defaults", "ro", "rw", "suid", "nosuid", "dev", "nodev", "exec", "noexec", "sync", "async",
    "dirsync", "mand", "nomand", "atime", "noatime", "diratime", "nodiratime", "relatime",
    "norelatime", "strictatime", "nostrictatime", "inode32", "inode64", "noswap", "lazytime",
    "nolazytime",
];

fn no_option(field: &Field<'_>, option: &str) {
    let message = format!("{}: a tmpfs has no option `{option}`", field.name());
    let problem = Problem::new(Code::BadValue, message).at(field.place().clone());
    let value = option.split_once(':').filter(|(name, _)| TMPFS_VALUES.contains(name));
    let hint = match value {
        Some((name, value)) => Some(format!("write `{name}={value}`")),
        None => nearest::hint(option, TMPFS_FLAGS),
    };
    field.scope.add(Problem { hint, ..problem });
}

/// What two items of `volumes` have in common when the later takes the earlier's place: the
/// target.
pub(crate) fn identity(item: &Item) -> Option<String> {
    let Some(text) = item.text() else { return item.get("target").and_then(Item::text).map(clean) };
    match split(text)[..] {
        [target] | [_, target] | [_, target, _] => Some(clean(target)),
        _ => None,
    }
}
