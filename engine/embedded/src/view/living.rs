//! Which processes have ended since the last look: one question for all of them, however many there are.
//!
//! Each is held by a descriptor that gets readable when it ends (`pidfd_open(2)`), and all of these by one
//! (`epoll(7)`). A task's shim is held, which tells of its process itself; only where there is none, the process.

use crate::root::record::Process;
use crate::sys::ready::register;
use crate::task::records::Records;
use crate::task::step::Alive;
use keel_engine::TaskId;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::process::{Pid, PidfdFlags, Resource, getrlimit, pidfd_open};
use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::io::unix::AsyncFd;

/// The processes of all tasks that lived when they were looked at.
pub(super) struct Living {
    all: AsyncFd<File>,
    held: Mutex<Held>,
    /// So many descriptors may be held: the rest of what this process may have is for its other work.
    most: usize,
}

#[derive(Default)]
struct Held {
    next: u64,
    by_key: HashMap<u64, (TaskId, Process, OwnedFd)>,
    by_task: HashMap<TaskId, u64>,
    /// Tasks with a process that no descriptor could be had for: these are looked at each time.
    unheld: BTreeSet<TaskId>,
}

impl Held {
    fn forget(&mut self, id: &TaskId, key: u64) {
        self.by_key.remove(&key);
        self.by_task.remove(id);
    }
}

impl Living {
    pub(super) fn new() -> io::Result<Self> {
        let all = register(epoll::create(CreateFlags::CLOEXEC)?)?;
        let may_have = getrlimit(Resource::Nofile).current;
        let most =
            may_have.map_or(usize::MAX, |number| usize::try_from(number / 2).unwrap_or(usize::MAX));
        Ok(Self { all, held: Mutex::default(), most })
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What lives of a task. From now on the end of its shim is told, or else that of its process.
    pub(super) fn look(&self, id: &TaskId, records: Option<&Records>) -> Alive {
        let (shim, process) = records.map_or((None, None), Alive::who);
        let own = |process: &&Process| process.boot == keel_durable::boot_id();
        let (shim, process) = (shim.filter(own), process.filter(own));
        if self.holds(id, shim) {
            return Alive { shim: true, process: process.is_some_and(Process::lives) };
        }
        Alive { shim: false, process: self.holds(id, process) }
    }

    /// Whether a task's process lives. From now on its end is told, and that of no other of the task.
    fn holds(&self, id: &TaskId, process: Option<&Process>) -> bool {
        let mut held = self.held();
        if let Some(key) = held.by_task.get(id).copied() {
            match held.by_key.get(&key) {
                Some((_, known, _)) if Some(known) == process => return true,
                // Its descriptor is closed, which takes it from the others.
                _ => held.forget(id, key),
            }
        }
        held.unheld.remove(id);
        let Some(process) = process else { return false };
        let key = held.next;
        let found = match held.by_key.len() {
            count if count >= self.most => Err(rustix::io::Errno::MFILE),
            _ => self.held_by(process, key),
        };
        match found {
            Ok(fd) => {
                held.next += 1;
                held.by_key.insert(key, (id.clone(), process.clone(), fd));
                held.by_task.insert(id.clone(), key);
                true
            }
            // It has ended.
            Err(rustix::io::Errno::SRCH) => false,
            Err(_) => {
                held.unheld.insert(id.clone());
                process.lives()
            }
        }
    }

    fn held_by(&self, process: &Process, key: u64) -> rustix::io::Result<OwnedFd> {
        let pid = i32::try_from(process.pid).ok().and_then(Pid::from_raw);
        let fd = pidfd_open(pid.ok_or(rustix::io::Errno::SRCH)?, PidfdFlags::empty())?;
        if !process.lives() {
            // One that nobody has waited for yet would be told of again and again.
            return Err(rustix::io::Errno::SRCH);
        }
        epoll::add(self.all.get_ref(), &fd, EventData::new_u64(key), EventFlags::IN)?;
        Ok(fd)
    }

    /// Tasks that have to be looked at each time.
    pub(super) fn unheld(&self) -> BTreeSet<TaskId> {
        self.held().unheld.clone()
    }

    /// Tasks of which a process has ended since this was asked last.
    pub(super) fn ended(&self) -> BTreeSet<TaskId> {
        let mut held = self.held();
        let mut ended = BTreeSet::new();
        loop {
            let keys = self.readable();
            if keys.is_empty() {
                return ended;
            }
            let before = held.by_key.len();
            for key in keys {
                // One whose descriptor a child that is about to be another program has as well.
                let Some(id) = held.by_key.get(&key).map(|(id, ..)| id.clone()) else { continue };
                held.forget(&id, key);
                ended.insert(id);
            }
            if held.by_key.len() == before {
                return ended;
            }
        }
    }

    fn readable(&self) -> Vec<u64> {
        let mut events = [MaybeUninit::uninit(); 64];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        match epoll::wait(self.all.get_ref(), &mut events, Some(&at_once)) {
            Ok((ended, _)) => ended.iter().map(|event| event.data.u64()).collect(),
            Err(_) => Vec::new(),
        }
    }

    /// Returns once a process may have ended.
    pub(super) async fn until(&self) -> io::Result<()> {
        self.all.readable().await?.clear_ready();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command, Stdio};

    fn child() -> (Child, Process) {
        let child =
            Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let process = Process::find(child.id()).unwrap();
        (child, process)
    }

    #[tokio::test]
    async fn the_end_of_a_process_is_told_once() {
        let living = Living::new().unwrap();
        let (web, db) = (TaskId::from_seed("web"), TaskId::from_seed("db"));
        let ((mut one, first), (mut other, second)) = (child(), child());
        let holds = |id, process: &Process| living.holds(id, Some(process));
        assert!(holds(&web, &first));
        assert!(holds(&db, &second) && holds(&db, &second), "again");
        assert_eq!(living.ended(), [].into());
        drop(one.stdin.take());
        one.wait().unwrap();
        living.until().await.unwrap();
        assert_eq!(living.ended(), [web.clone()].into());
        assert_eq!(living.ended(), [].into());
        // One that is of no interest any more, and one that is gone already.
        assert!(!holds(&db, &first));
        drop(other.stdin.take());
        other.wait().unwrap();
        assert_eq!(living.ended(), [].into());
        assert!(living.held().by_key.is_empty() && living.held().by_task.is_empty());
        // Beyond what may be held, each look asks.
        let (mut last, third) = child();
        let none = Living { most: 0, ..Living::new().unwrap() };
        assert!(none.holds(&web, Some(&third)));
        assert_eq!((none.unheld(), none.ended()), ([web.clone()].into(), [].into()));
        drop(last.stdin.take());
        last.wait().unwrap();
        assert!(!none.holds(&web, Some(&third)));
    }
}
