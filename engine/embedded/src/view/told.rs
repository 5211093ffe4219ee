//! What the kernel tells of the root's records: which of them changed since the last look.
//!
//! # Invariants
//! - A change that was made before a look, by whatever process, is known to that look: the kernel queues what
//!   it tells in the call that makes the change.
//! - Where it cannot be told (watches are used up, some were lost), all records count as changed.

use crate::root::layout::Layout;
use crate::view::inotify::{Change, PERIOD, Watch};
use keel_engine::TaskId;
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is to be read again.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Stale {
    /// Everything, by what the file system says of each file.
    pub(super) all: bool,
    pub(super) tasks: BTreeSet<TaskId>,
    pub(super) networks: BTreeSet<String>,
    pub(super) volumes: BTreeSet<String>,
    pub(super) images: bool,
    /// The machine itself: its devices came or went.
    pub(super) host: bool,
}

impl Stale {
    pub(super) fn everything() -> Self {
        Self { all: true, images: true, host: true, ..Self::default() }
    }

    pub(super) fn add(&mut self, other: Self) {
        let Self { all, tasks, networks, volumes, images, host } = other;
        (self.all, self.images) = (self.all || all, self.images || images);
        self.host |= host;
        self.tasks.extend(tasks);
        self.networks.extend(networks);
        self.volumes.extend(volumes);
    }

    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What others are to hear of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard {
    /// A task came, went or changed; `true` where its driver is to look as well.
    Task(TaskId, bool),
    /// Devices of the machine came or went.
    Host,
    /// Nobody knows what.
    Anything,
}

/// The folders that are watched.
pub(super) struct Told {
    layout: Layout,
    watch: Watch,
    folders: Mutex<HashMap<i32, Folder>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Folder {
    Tasks,
    Task(TaskId),
    Networks,
    Volumes,
    Volume(String),
    Images,
    Devices(PathBuf),
}

impl Told {
    pub(super) fn new(layout: &Layout) -> io::Result<Self> {
        layout.make_tasks()?;
        let told = Self { layout: layout.clone(), watch: Watch::new()?, folders: Mutex::default() };
        told.add(Folder::Tasks)?;
        for folder in [Folder::Networks, Folder::Volumes, Folder::Images] {
            // A disk that takes nothing may lack one of them: then it is looked at each time.
            let _ = keel_durable::make_folder(&told.path(&folder), 0o700);
            if told.add(folder).is_err() {
                told.watch.go_blind();
            }
        }
        Ok(told)
    }

    fn path(&self, folder: &Folder) -> PathBuf {
        match folder {
            Folder::Tasks => self.layout.tasks(),
            Folder::Task(id) => self.layout.task(id).0,
            Folder::Networks => self.layout.networks(),
            Folder::Volumes => self.layout.volumes(),
            Folder::Volume(name) => self.layout.volumes().join(name),
            Folder::Images => self.layout.images().join("references"),
            Folder::Devices(path) => path.clone(),
        }
    }

    fn folders(&self) -> MutexGuard<'_, HashMap<i32, Folder>> {
        self.folders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, folder: Folder) -> io::Result<()> {
        let path = self.path(&folder);
        let number = match folder {
            Folder::Devices(_) => self.watch.add_entries(&path)?,
            _ => self.watch.add_records(&path)?,
        };
        self.folders().insert(number, folder);
        Ok(())
    }

    /// From now on changes of a task's records are told. Once is enough.
    pub(super) fn watch_task(&self, id: &TaskId) {
        // One that is gone already is none.
        let _ = self.add(Folder::Task(id.clone()));
    }

    /// The same of a volume's.
    pub(super) fn watch_volume(&self, name: &str) {
        let _ = self.add(Folder::Volume(name.to_owned()));
    }

    /// From now on devices that come to this folder or leave it are told. Once is enough.
    pub(super) fn watch_devices(&self, folder: PathBuf) {
        // Without, they are seen when everything is looked at anew.
        let _ = self.add(Folder::Devices(folder));
    }

    /// Returns once there may be something to [`take`](Self::take). Who is not told of everything is told
    /// after a while that there may be anything.
    pub(super) async fn until(&self) -> io::Result<Option<Heard>> {
        if !self.watch.is_blind() {
            return self.watch.readable().await.map(|()| None);
        }
        match tokio::time::timeout(PERIOD, self.watch.readable()).await {
            Ok(told) => told.map(|()| None),
            Err(_) => Ok(Some(Heard::Anything)),
        }
    }

    /// What was told since it was asked last, without waiting.
    pub(super) fn take(&self) -> (Stale, Vec<Heard>) {
        let (mut stale, mut heard) = (Stale::default(), Vec::new());
        if self.watch.is_blind() {
            stale = Stale::everything();
        }
        let changes = self.watch.take().unwrap_or_else(|_| vec![Change::lost()]);
        for change in changes {
            self.note(&change, &mut stale, &mut heard);
        }
        (stale, heard)
    }

    fn note(&self, change: &Change, stale: &mut Stale, heard: &mut Vec<Heard>) {
        if change.folder < 0 {
            stale.add(Stale::everything());
            heard.push(Heard::Anything);
            return;
        }
        let folder = self.folders().get(&change.folder).cloned();
        match folder {
            None => {}
            Some(Folder::Tasks | Folder::Networks | Folder::Volumes | Folder::Images)
                if change.name.is_empty() =>
            {
                // The folder itself went, and another one is not watched.
                self.watch.go_blind();
                stale.add(Stale::everything());
            }
            Some(Folder::Tasks) => {
                let Ok(id) = TaskId::new(&change.name) else { return };
                // Before its records are read: what changes after that is told.
                self.watch_task(&id);
                stale.tasks.insert(id.clone());
                heard.push(Heard::Task(id, false));
            }
            Some(Folder::Task(id)) => {
                let wakes = match change.name.as_str() {
                    "" => {
                        self.folders().remove(&change.folder);
                        Some(false)
                    }
                    "state" | "assignment" | "following" => Some(true),
                    "work" => Some(false),
                    "signalled" => None,
                    _ => return,
                };
                stale.tasks.insert(id.clone());
                heard.extend(wakes.map(|wakes| Heard::Task(id, wakes)));
            }
            Some(Folder::Networks) if change.name.starts_with('.') => {}
            Some(Folder::Networks) => drop(stale.networks.insert(change.name.clone())),
            Some(Folder::Volumes) => {
                self.watch_volume(&change.name);
                stale.volumes.insert(change.name.clone());
            }
            Some(Folder::Volume(name)) => {
                if change.name.is_empty() {
                    self.folders().remove(&change.folder);
                } else if change.name != "spec" {
                    return;
                }
                stale.volumes.insert(name);
            }
            Some(Folder::Images) => stale.images = true,
            Some(Folder::Devices(_)) => {
                if change.name.is_empty() {
                    self.folders().remove(&change.folder);
                }
                stale.host = true;
                heard.push(Heard::Host);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::record::store_bytes;

    #[tokio::test]
    async fn what_was_changed_before_a_look_is_told_to_it() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::new(root.path());
        let told = Told::new(&layout).unwrap();
        assert_eq!(told.take(), (Stale::default(), vec![]));
        let id = TaskId::from_seed("web");
        let dir = layout.task(&id);
        std::fs::create_dir(&dir.0).unwrap();
        let came = told.take();
        assert_eq!(came.0.tasks, [id.clone()].into());
        store_bytes(&dir.state(), b"{}", 0o600).unwrap();
        let (stale, heard) = told.take();
        assert_eq!(stale, Stale { tasks: [id.clone()].into(), ..Stale::default() });
        assert!(heard.contains(&Heard::Task(id.clone(), true)), "{heard:?}");
        std::fs::write(dir.0.join("log"), "a line").unwrap();
        assert_eq!(told.take(), (Stale::default(), vec![]), "output is no record");
        store_bytes(&layout.networks().join("net"), b"{}", 0o600).unwrap();
        std::fs::create_dir_all(layout.volumes().join("data")).unwrap();
        let (stale, _) = told.take();
        assert_eq!(
            (stale.networks, stale.volumes),
            (["net".into()].into(), ["data".into()].into())
        );
        store_bytes(&layout.volumes().join("data/spec"), b"{}", 0o600).unwrap();
        assert_eq!(told.take().0.volumes, ["data".into()].into());
        std::fs::remove_dir_all(&dir.0).unwrap();
        assert_eq!(told.take().0.tasks, [id].into(), "it went");
        std::fs::write(layout.images().join("references/a"), "").unwrap();
        assert!(told.take().0.images);
    }
}
