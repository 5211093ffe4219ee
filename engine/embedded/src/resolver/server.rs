//! The work of `keel net`: from the tasks' records to port tables, names, reserved ports.
//!
//! Level-triggered: whatever woke it, it compares what shall be with what it did, and does the
//! difference. What fails is tried again at the next occasion. Processes are looked at for tasks whose
//! records changed and for those that something failed for; for all of them at each full look.

use super::forward::Upstream;
use super::known::Known;
use super::listen::{self, View};
use super::marks::{Marker, drained_path, names_path, tell};
use super::tasks::{Task, read, read_all};
use super::watch::{Changed, Firewall, Records};
use super::zone::{Zone, port_table};
use crate::network::nft::read::chains;
use crate::network::port_table::{PortTable, rewrite, update};
use crate::network::{flows, foreign, ports};
use crate::root::layout::Layout;
use crate::root::record::{Endpoint, Process, note};
use keel_engine::{PublishedPort, TaskId};
use nix::sys::signal::Signal;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

/// Looks again after this time even if nothing was told: the older iptables tells nothing.
const PERIOD: Duration = Duration::from_secs(30);
/// Notices about the firewall come in bursts.
const BURST: Duration = Duration::from_millis(200);
/// How long it stays when tasks are stopped, but there: one may be about to start.
const LINGER: Duration = Duration::from_secs(5);

/// Why it stopped serving.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// No task needs it.
    Idle,
    /// It was told to (SIGTERM).
    Told,
}

/// A served task.
struct Listener {
    netns: u64,
    view: watch::Sender<View>,
    service: AbortHandle,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.service.abort();
    }
}

/// All that `keel net` knows and holds.
pub(super) struct Server {
    layout: Layout,
    me: Process,
    known: Known,
    /// What the kernel has, as far as known.
    applied: Option<PortTable>,
    listeners: BTreeMap<TaskId, Listener>,
    /// Tasks that need names and could not be served.
    unserved: BTreeSet<TaskId>,
    reserved: BTreeMap<PublishedPort, Option<OwnedFd>>,
    upstream: Upstream,
    idle_since: Option<Instant>,
}

impl Server {
    /// Knows nothing yet.
    pub fn new(layout: &Layout, me: Process, upstream: Upstream) -> Self {
        Self {
            layout: layout.clone(),
            me,
            known: Known::new(),
            applied: None,
            listeners: BTreeMap::new(),
            unserved: BTreeSet::new(),
            reserved: BTreeMap::new(),
            upstream,
            idle_since: None,
        }
    }

    /// Serves until no task needs it. `ready` is called once signals are handled.
    pub async fn run(&mut self, ready: impl FnOnce() -> io::Result<()>) -> io::Result<End> {
        let mut anew = signal(SignalKind::hangup())?;
        let mut end = signal(SignalKind::terminate())?;
        ready()?;
        let mut records = Records::watch(&self.layout)?;
        let firewall = Firewall::watch()?;
        self.read_all()?;
        // Of the firewall, and of everything.
        let (mut look, mut full) = (Instant::now(), Instant::now() + PERIOD);
        loop {
            self.settle();
            if self.is_over() {
                return Ok(End::Idle);
            }
            if look <= Instant::now() {
                let let_through =
                    chains().and_then(|chains| foreign::ensure(&self.layout, &chains));
                report("let our bridges through", let_through);
                look = Instant::now() + PERIOD;
            }
            let wake = self.linger_end().map_or(full, |end| end.min(full));
            tokio::select! {
                changed = records.changed() => self.refresh(changed?)?,
                notice = firewall.changed() => {
                    notice?;
                    look = look.min(Instant::now() + BURST);
                }
                () = sleep_until(look) => {}
                () = sleep_until(wake) => {
                    self.read_all()?;
                    full = Instant::now() + PERIOD;
                }
                _ = anew.recv() => self.applied = None,
                _ = end.recv() => return Ok(End::Told),
            }
        }
    }

    fn read_all(&mut self) -> io::Result<()> {
        self.known.put_all(read_all(&self.layout)?);
        Ok(())
    }

    fn refresh(&mut self, changed: Changed) -> io::Result<()> {
        let Changed::Tasks(ids) = changed else { return self.read_all() };
        for id in ids {
            let task = read(&self.layout.task(&id));
            self.known.put(id, task);
        }
        Ok(())
    }

    fn settle(&mut self) {
        if self.known.news().ports || self.reserved.values().any(Option::is_none) {
            self.reserve_ports();
        }
        let written = self.write_ports();
        self.serve_names();
        // Where the table is gone, nothing leads to a task either.
        if written.as_ref().err().is_none_or(|error| error.kind() == io::ErrorKind::NotFound) {
            self.mark_drained();
        }
        if written.is_ok() {
            self.known.is_settled();
        }
        report("write the port tables", written);
    }

    /// Keeps published ports from other programs, where it can.
    fn reserve_ports(&mut self) {
        let publishers = self.known.publishers().filter(|task| task.reserves);
        let wanted: BTreeSet<PublishedPort> =
            publishers.flat_map(|task| task.ports.iter().map(without_target)).collect();
        let before: Vec<_> = self.reserved.keys().cloned().collect();
        self.reserved.retain(|port, _| wanted.contains(port));
        for port in wanted {
            let socket = self.reserved.entry(port.clone()).or_default();
            if socket.is_none() {
                *socket = ports::bound(&port).ok().map(|(socket, _)| socket);
            }
        }
        let now: Vec<_> = self.reserved.keys().cloned().collect();
        if before != now {
            report("record the ports held", note(&ports::held_path(&self.layout), &now));
        }
    }

    fn write_ports(&mut self) -> io::Result<()> {
        if self.applied.is_some() && !self.known.news().ports {
            return Ok(());
        }
        let wanted = port_table(self.known.publishers());
        if self.applied.as_ref() == Some(&wanted) {
            return Ok(());
        }
        if wanted.is_empty() && self.applied.is_none() && !self.reserved_any() {
            return Ok(());
        }
        let updated = match &self.applied {
            Some(applied) => update(&self.layout, applied, &wanted),
            None => Err(io::ErrorKind::Other.into()),
        };
        // What it believed was wrong: somebody else changed the tables.
        let written = updated.or_else(|_| rewrite(&self.layout, &wanted));
        if written.is_ok() {
            let before = self.applied.take().unwrap_or_default();
            report("forget old UDP flows", flows::forget(&before, &wanted));
        }
        self.applied = written.is_ok().then_some(wanted);
        written
    }

    fn reserved_any(&self) -> bool {
        !self.reserved.is_empty()
    }

    fn serve_names(&mut self) {
        let mut due = self.known.take_names();
        due.append(&mut self.unserved);
        if self.known.news().read == Changed::Everything {
            due.extend(self.listeners.keys().cloned());
        }
        for id in due {
            match self.known.get(&id).filter(|task| task.attached()) {
                Some(task) => {
                    let view = view(self.known.names_of(task), task);
                    self.serve_names_to(id, view);
                }
                None => drop(self.listeners.remove(&id)),
            }
        }
    }

    fn serve_names_to(&mut self, id: TaskId, view: View) {
        let Some(task) = self.known.get(&id) else { return };
        let was_read = self.known.was_read(&id);
        if let Some(listener) = self.listeners.get(&id).filter(|_| !was_read) {
            listener.view.send_replace(view);
            return;
        }
        let netns = task.processes.iter().find_map(namespace);
        match (netns, self.listeners.get(&id)) {
            (Some((_, inode)), Some(listener)) if listener.netns == inode => {
                listener.view.send_replace(view);
            }
            (Some((netns, inode)), _) => match listener(&netns, inode, view, &self.upstream) {
                Ok(listener) => {
                    self.mark_served(&id);
                    self.listeners.insert(id, listener);
                }
                Err(error) => {
                    report(&format!("serve names to task {id}"), Err(error));
                    self.unserved.insert(id);
                }
            },
            (None, None) => drop(self.unserved.insert(id)),
            (None, Some(_)) => {}
        }
    }

    fn mark_served(&self, id: &TaskId) {
        let Some(task) = self.known.get(id) else { return };
        let shim = task.processes.first().cloned();
        let marker = Marker { server: Some(self.me.clone()), shim };
        report("say that names work", note(&names_path(&self.layout.task(id)), &marker));
    }

    /// Tells the shims that wait for it that nothing leads to their tasks any more: by a file,
    /// and by SIGUSR2, which they hear at once.
    fn mark_drained(&self) {
        for (id, task) in self.known.to_mark() {
            let path = drained_path(&self.layout.task(id));
            match &task.draining {
                Some(shim) if !path.exists() => {
                    let marker = Marker { server: Some(self.me.clone()), shim: Some(shim.clone()) };
                    let told = note(&path, &marker).and_then(|()| tell(shim, Signal::SIGUSR2));
                    report("say that a task is drained", told);
                }
                None if path.exists() => {
                    report("forget that a task was drained", std::fs::remove_file(&path));
                }
                _ => {}
            }
        }
    }

    fn is_over(&mut self) -> bool {
        if self.known.all().values().any(Task::attached) {
            self.idle_since = None;
            return false;
        }
        if !self.known.all().values().any(|task| task.reserves && !task.endpoints.is_empty()) {
            return true;
        }
        let since = *self.idle_since.get_or_insert_with(Instant::now);
        since.elapsed() >= LINGER
    }

    fn linger_end(&self) -> Option<Instant> {
        self.idle_since.map(|since| since + LINGER)
    }
}

fn without_target(port: &PublishedPort) -> PublishedPort {
    PublishedPort { target: 0, ..port.clone() }
}

fn view(zone: Arc<Zone>, task: &Task) -> View {
    View {
        zone,
        networks: task.endpoints.iter().map(|endpoint| endpoint.network.clone()).collect(),
        dns: task.dns.clone(),
        forwards: task.endpoints.iter().any(Endpoint::leads_out),
    }
}

/// A task's network namespace by a process in it, and its number. Not the host's: a shim that goes with its
/// task has gone back there, and what is made there stays.
fn namespace(process: &Process) -> Option<(File, u64)> {
    let file = File::open(format!("/proc/{}/ns/net", process.pid)).ok()?;
    let inode = file.metadata().ok()?.ino();
    let own = std::fs::metadata("/proc/self/ns/net").ok()?.ino();
    (inode != own && process.lives()).then_some((file, inode))
}

fn listener(netns: &File, inode: u64, view: View, upstream: &Upstream) -> io::Result<Listener> {
    let sockets = listen::open(netns)?;
    let (sender, receiver) = watch::channel(view);
    let service = listen::serve(sockets, receiver, upstream.clone());
    let service = tokio::spawn(async move {
        if let Err(error) = service.await {
            report("serve names", Err(error));
        }
    });
    Ok(Listener { netns: inode, view: sender, service: service.abort_handle() })
}

/// Says on stderr (the root's `net.log`) what did not work; it is tried again.
fn report(what: &str, done: io::Result<()>) {
    if let Err(error) = done {
        let mut text = format!("keel net: cannot {what}: {error}");
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            text += &format!(": {error}");
            cause = error.source();
        }
        eprintln!("{text}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_namespace_is_no_tasks() {
        let own = Process::find(std::process::id()).unwrap();
        assert!(namespace(&own).is_none());
    }
}
