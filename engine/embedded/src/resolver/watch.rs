//! What `keel net` wakes up for: changes of the tasks' records, and of the host's firewall.

use super::tasks::id_of;
use crate::root::layout::Layout;
use crate::view::inotify::{PERIOD, is_used_up};
use keel_engine::TaskId;
use netlink_sys::protocols::{NETLINK_NETFILTER, NETLINK_ROUTE};
use netlink_sys::{Socket, SocketAddr};
use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use tokio::io::unix::AsyncFd;

const RECORDS: [&str; 3] = ["work", "state", "assignment"];
const LINK_GROUP: u32 = 1;
const NFTABLES_GROUP: u32 = 7;

/// What changed in the tasks' folders.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Changed {
    /// These tasks' records, or whether there are such tasks.
    Tasks(BTreeSet<TaskId>),
    /// More than the kernel could tell.
    Everything,
}

struct Watcher(Inotify);

impl AsRawFd for Watcher {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

/// Watches the folder of tasks and each task's own.
pub(super) struct Records {
    layout: Layout,
    /// None where containers have used up the user's watchers.
    told: Option<Told>,
    /// A task's folder could not be watched.
    blind: bool,
}

/// What the kernel tells of.
struct Told {
    inotify: AsyncFd<Watcher>,
    folder: WatchDescriptor,
    tasks: HashMap<WatchDescriptor, TaskId>,
}

impl Records {
    /// Begins to watch. Whoever reads all records after this misses nothing.
    pub fn watch(layout: &Layout) -> io::Result<Self> {
        std::fs::create_dir_all(layout.tasks())?;
        let told = match Told::of(layout) {
            Ok(told) => Some(told),
            Err(error) if is_used_up(error as i32) => None,
            Err(error) => return Err(error.into()),
        };
        let mut records = Self { layout: layout.clone(), told, blind: false };
        for entry in std::fs::read_dir(layout.tasks())?.flatten() {
            if let Some(id) = entry.file_name().to_str().and_then(id_of) {
                records.add(id);
            }
        }
        Ok(records)
    }

    fn add(&mut self, id: TaskId) {
        let Some(told) = &mut self.told else { return };
        let flags = AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_ONLYDIR;
        let path = self.layout.task(&id).0;
        match told.inotify.get_ref().0.add_watch(&path, flags) {
            Ok(watch) => drop(told.tasks.insert(watch, id)),
            Err(error) => self.blind |= is_used_up(error as i32),
        }
    }

    /// Waits for the next changes.
    pub async fn changed(&mut self) -> io::Result<Changed> {
        if self.told.is_some() && !self.blind {
            return self.told().await;
        }
        let told = tokio::time::timeout(PERIOD, self.told()).await;
        told.unwrap_or(Ok(Changed::Everything))
    }

    async fn told(&mut self) -> io::Result<Changed> {
        loop {
            let Some(told) = &self.told else { return std::future::pending().await };
            let mut ready = told.inotify.readable().await?;
            let events = ready.try_io(|watcher| Ok(watcher.get_ref().0.read_events()?));
            let Ok(events) = events else { continue };
            drop(ready);
            match self.understand(events?) {
                Changed::Tasks(tasks) if tasks.is_empty() => {}
                changed => return Ok(changed),
            }
        }
    }

    fn understand(&mut self, events: Vec<InotifyEvent>) -> Changed {
        let mut changed = BTreeSet::new();
        for event in events {
            if event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
                return Changed::Everything;
            }
            let Some(told) = &mut self.told else { continue };
            if event.mask.contains(AddWatchFlags::IN_IGNORED) {
                told.tasks.remove(&event.wd);
                continue;
            }
            let name = event.name.as_deref().and_then(|name| name.to_str()).unwrap_or_default();
            if event.wd == told.folder {
                let Some(id) = id_of(name) else { continue };
                if event.mask.intersects(AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO) {
                    self.add(id.clone());
                }
                changed.insert(id);
            } else if let Some(id) = told.tasks.get(&event.wd)
                && RECORDS.contains(&name)
            {
                changed.insert(id.clone());
            }
        }
        Changed::Tasks(changed)
    }
}

impl Told {
    fn of(layout: &Layout) -> Result<Self, Errno> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        let flags = AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_MOVED_FROM
            | AddWatchFlags::IN_ONLYDIR;
        let folder = inotify.add_watch(&layout.tasks(), flags)?;
        let inotify = asynchronous(Watcher(inotify)).map_err(|_| Errno::ENOMEM)?;
        Ok(Self { inotify, folder, tasks: HashMap::new() })
    }
}

/// Notices of the kernel about rules and links: Docker came, went, or rewrote its rules.
pub(super) struct Firewall {
    rules: AsyncFd<Socket>,
    links: AsyncFd<Socket>,
}

impl Firewall {
    /// Begins to listen.
    pub fn watch() -> io::Result<Self> {
        let rules = listen(NETLINK_NETFILTER, NFTABLES_GROUP)?;
        Ok(Self { rules, links: listen(NETLINK_ROUTE, LINK_GROUP)? })
    }

    /// Waits for the next notice; those that came together are one.
    pub async fn changed(&self) -> io::Result<()> {
        tokio::select! {
            notice = notices(&self.rules) => notice,
            notice = notices(&self.links) => notice,
        }
    }
}

fn listen(protocol: isize, group: u32) -> io::Result<AsyncFd<Socket>> {
    let mut socket = Socket::new(protocol)?;
    socket.bind(&SocketAddr::new(0, 0))?;
    socket.add_membership(group)?;
    socket.set_non_blocking(true)?;
    asynchronous(socket)
}

/// Both kinds that are registered own their descriptor for life and never change it.
#[expect(deprecated, reason = "its successor is unsafe, for types that swap their descriptor")]
fn asynchronous<T: AsRawFd>(inner: T) -> io::Result<AsyncFd<T>> {
    AsyncFd::new(inner)
}

async fn notices(socket: &AsyncFd<Socket>) -> io::Result<()> {
    let mut ready = socket.readable().await?;
    let mut buffer = Vec::with_capacity(8192);
    loop {
        buffer.clear();
        match ready.try_io(|socket| socket.get_ref().recv(&mut buffer, 0)) {
            Err(_) => return Ok(()),
            // Lost notices (ENOBUFS) are a notice too.
            Ok(Err(error)) if error.raw_os_error() != Some(libc::ENOBUFS) => return Err(error),
            Ok(_) => {}
        }
    }
}
