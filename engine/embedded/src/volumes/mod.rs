//! Volumes: folders that outlive the tasks that mount them.
//!
//! # Invariants
//! - A volume is `volumes/NAME/{spec,data}`; it exists when `spec` does.
//! - An anonymous volume belongs to one task, and passes to the one that replaces it.
//! - Content of an image comes into an empty volume once; what was cut short is gone on with.

mod copy_up;
mod fill;

use crate::blocking::failed;
use crate::{Layout, clock, root::record};
use keel_engine::{
    EngineError, Failure, Result, TaskAssignment, TaskId, VolumeSpec, stored_failure,
};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What stands in `volumes/NAME/spec`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Volume {
    pub(crate) spec: VolumeSpec,
    pub(crate) created: u64,
    /// It shall go once no task uses it.
    pub(crate) absent: bool,
    /// Why it could not go.
    #[serde(flatten, with = "stored_failure", skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<Failure>,
    /// Whose it is, if it has no name of its own.
    pub(crate) owner: Option<Owner>,
}

/// The task that an anonymous volume belongs to, and where it is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Owner {
    pub(crate) task: TaskId,
    pub(crate) path: String,
    /// Its slot, as shown: a later task finds the volume when its owner is gone.
    pub(crate) slot: String,
}

/// The names of all folders, ordered: a volume may be on its way.
pub(crate) fn names(layout: &Layout) -> Result<Vec<String>> {
    let folder = layout.volumes();
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(format!("cannot read {}", folder.display()))(error)),
    };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<_> = names.collect();
    names.sort();
    Ok(names)
}

/// Every volume, ordered by name.
pub(crate) fn all(layout: &Layout) -> Result<Vec<Volume>> {
    names(layout)?.iter().filter_map(|name| load(layout, name).transpose()).collect()
}

pub(crate) fn load(layout: &Layout, name: &str) -> Result<Option<Volume>> {
    let path = layout.volumes().join(name).join("spec");
    record::load(&path).map_err(failed(format!("cannot read {}", path.display())))
}

pub(crate) fn store(layout: &Layout, volume: &Volume) -> Result<()> {
    let folder = layout.volumes().join(&volume.spec.name);
    let path = folder.join("spec");
    let failed = failed(format!("cannot write {}", path.display()));
    let made = || match fs::create_dir(folder.join("data")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            keel_durable::make_folder(&folder, 0o755)?;
            fs::create_dir(folder.join("data"))
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        // It is synced with what is written beside it.
        other => other,
    };
    made().and_then(|()| record::store(&path, volume)).map_err(failed)
}

/// Makes the volume unless it is there; one that was to go stays.
pub(crate) fn ensure(layout: &Layout, spec: &VolumeSpec) -> Result<Volume> {
    check_name("volume", &spec.name)?;
    let known = load(layout, &spec.name)?;
    let volume = match known {
        Some(known) if !known.absent => return Ok(known),
        Some(known) => Volume { absent: false, message: None, ..known },
        None => Volume { spec: spec.clone(), created: clock::now(), ..Volume::default() },
    };
    mountpoint(layout, &volume)?;
    store(layout, &volume)?;
    Ok(volume)
}

/// A name becomes a folder's or file's: nothing in it may lead elsewhere.
pub(crate) fn check_name(kind: &str, name: &str) -> Result<()> {
    let sound = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    let first = name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    if first && name.bytes().all(sound) && name.len() <= 200 {
        return Ok(());
    }
    Err(EngineError::Conflict {
        what: format!("`{name}` is not a {kind}'s name"),
        hint: Some("letters, digits, `_`, `.` and `-`, a letter or digit first".into()),
    })
}

/// Where a volume's data is: in its own folder, or where its options bind it to.
pub(crate) fn mountpoint(layout: &Layout, volume: &Volume) -> Result<PathBuf> {
    let options = &volume.spec.driver_opts;
    let option = |key: &str| options.get(key).map(String::as_str).unwrap_or_default();
    if options.is_empty() {
        return Ok(layout.volumes().join(&volume.spec.name).join("data"));
    }
    let binds = option("o").split(',').any(|word| matches!(word, "bind" | "rbind"));
    match option("device") {
        device if binds && device.starts_with('/') => Ok(device.into()),
        _ => Err(EngineError::Conflict {
            what: format!("volume {} has options that are not known", volume.spec.name),
            hint: Some("`type: none, o: bind, device: /PATH` is".into()),
        }),
    }
}

/// Where a part of a volume, or all of it, is mounted from, and the folder that the part stays in.
pub(crate) fn place(
    layout: &Layout,
    volume: &Volume,
    subpath: Option<&str>,
) -> Result<(PathBuf, Option<PathBuf>)> {
    let whole = mountpoint(layout, volume)?;
    Ok(match subpath {
        Some(subpath) => (whole.join(subpath.trim_start_matches('/')), Some(whole)),
        None => (whole, None),
    })
}

/// Deletes a volume with its data. What a bind leads to stays.
pub(crate) fn remove(layout: &Layout, name: &str) -> Result<()> {
    let folder = layout.volumes().join(name);
    let failed = failed(format!("cannot remove {}", folder.display()));
    keel_beneath::remove(&folder).map_err(failed)
}

/// Whose anonymous volume a task takes over for a path: its own, that of the task it replaces, or
/// what a task of its slot left that is gone. Pure.
pub(crate) fn inherited<'a>(
    volumes: &'a [Volume],
    wish: &TaskAssignment,
    path: &str,
    exists: impl Fn(&TaskId) -> bool,
) -> Option<&'a Volume> {
    let slot = wish.place.slot().map(ToString::to_string);
    let rank = |owner: &Owner| {
        if owner.task == wish.id {
            return Some(0);
        }
        if Some(&owner.task) == wish.replaces.as_ref() {
            return Some(1);
        }
        (slot.as_ref() == Some(&owner.slot) && !exists(&owner.task)).then_some(2)
    };
    let ranked = volumes.iter().filter_map(|volume| {
        let owner = volume.owner.as_ref().filter(|owner| owner.path == path)?;
        Some((rank(owner)?, std::cmp::Reverse(volume.created), volume))
    });
    ranked.min_by_key(|(rank, age, _)| (*rank, *age)).map(|(_, _, volume)| volume)
}

/// The anonymous volume of a task for a path: made, or taken over.
pub(crate) fn anonymous(layout: &Layout, wish: &TaskAssignment, path: &str) -> Result<Volume> {
    let exists = |id: &TaskId| layout.task(id).assignment().exists();
    let volumes = all(layout)?;
    let slot = wish.place.slot().map(ToString::to_string).unwrap_or_default();
    let owner = Some(Owner { task: wish.id.clone(), path: path.to_owned(), slot });
    let volume = match inherited(&volumes, wish, path, exists) {
        Some(volume) if volume.owner == owner => return Ok(volume.clone()),
        Some(volume) => Volume { owner, ..volume.clone() },
        None => {
            let name = TaskId::from_seed(&format!("{}{path}", wish.id.as_str()));
            let spec = VolumeSpec {
                name: name.as_str().to_owned(),
                driver: "local".into(),
                ..VolumeSpec::default()
            };
            Volume { spec, created: clock::now(), owner, ..Volume::default() }
        }
    };
    store(layout, &volume)?;
    Ok(volume)
}

/// Fills an empty volume with what the image has at the path where it is mounted, owner and mode
/// of the folder itself included.
pub(crate) fn seed(
    layout: &Layout,
    volume: &Volume,
    layers: &[PathBuf],
    at: &str,
) -> io::Result<()> {
    if !volume.spec.driver_opts.is_empty() {
        return Ok(());
    }
    fill::fill(&layout.volumes().join(&volume.spec.name), layers, Path::new(at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::records::sample;
    use keel_engine::Goal;

    fn owned(name: &str, task: &str, slot: &str) -> Volume {
        let spec = VolumeSpec { name: name.into(), ..VolumeSpec::default() };
        let owner =
            Owner { task: TaskId::from_seed(task), path: "/data".into(), slot: slot.into() };
        Volume { spec, owner: Some(owner), ..Volume::default() }
    }

    #[test]
    fn anonymous_volumes_pass_to_the_next_task_of_the_slot() {
        let mut wish = sample::wish(1, Goal::Running);
        wish.id = TaskId::from_seed("new");
        wish.place = sample::slot();
        wish.replaces = Some(TaskId::from_seed("old"));
        let cases = [
            ("its own", vec![owned("a", "old", ""), owned("b", "new", "")], Some("b")),
            ("of the one before", vec![owned("a", "old", "")], Some("a")),
            ("left by one that is gone", vec![owned("a", "gone", "shop/web.1")], Some("a")),
            ("of one that lives", vec![owned("a", "lives", "shop/web.1")], None),
            ("of another slot", vec![owned("a", "gone", "shop/db.1")], None),
        ];
        for (name, volumes, expected) in cases {
            let exists = |id: &TaskId| *id == TaskId::from_seed("lives");
            let found = inherited(&volumes, &wish, "/data", exists);
            assert_eq!(found.map(|volume| volume.spec.name.as_str()), expected, "{name}");
            assert_eq!(inherited(&volumes, &wish, "/other", exists), None);
        }
    }

    #[test]
    fn a_volume_is_filled_once_and_keeps_what_it_got() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::new(root.path());
        let layer = root.path().join("layer");
        fs::create_dir_all(layer.join("data")).unwrap();
        fs::write(layer.join("data/page"), "from the image").unwrap();
        let spec = VolumeSpec { name: "shop_data".into(), ..VolumeSpec::default() };
        let volume = ensure(&layout, &spec).unwrap();
        let page = mountpoint(&layout, &volume).unwrap().join("page");
        seed(&layout, &volume, std::slice::from_ref(&layer), "/data").unwrap();
        assert_eq!(fs::read_to_string(&page).unwrap(), "from the image");
        fs::write(&page, "edited").unwrap();
        seed(&layout, &volume, &[layer], "/data").unwrap();
        assert_eq!(fs::read_to_string(&page).unwrap(), "edited");
        remove(&layout, "shop_data").unwrap();
        assert_eq!(all(&layout).unwrap(), []);
        assert!(ensure(&layout, &VolumeSpec { name: "../x".into(), ..spec }).is_err());
    }
}
