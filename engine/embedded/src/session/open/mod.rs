//! What a person opens: output, a further process, the process's own terminal, a signal.

mod attach;
mod exec;
mod relay;

use crate::core::Core;
use crate::session::conversation::conversation;
use crate::task::records::Records;
use crate::{TaskDir, blocking, clock, root::record, session::logs, sys};
use keel_engine::frames::Frame;
use keel_engine::{Duplex, EngineError, Exec, Open, Result, TaskId, Thing};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

impl Core {
    /// Opens one conversation.
    pub(crate) async fn open(self: &Arc<Self>, what: Open) -> Result<Box<dyn Duplex>> {
        let (Open::Logs { task, .. }
        | Open::Exec { task, .. }
        | Open::Attach { task, .. }
        | Open::Signal { task, .. }) = &what;
        let Some(records) = self.records(task).await? else {
            return Err(EngineError::NotFound { kind: Thing::Task, name: task.to_string() });
        };
        let dir = self.layout.task(task);
        match what {
            Open::Logs { options, .. } => Ok(logs::open(dir, options)),
            Open::Exec { exec, .. } => self.exec(&records, dir, exec),
            Open::Attach { task, stdin } => self.attach(task, dir, stdin).await,
            Open::Signal { signal, .. } => {
                blocking::run(move || signalled(&records, &dir, &signal)).await
            }
        }
    }

    fn exec(&self, records: &Records, dir: TaskDir, exec: Exec) -> Result<Box<dyn Duplex>> {
        process_of(records)?;
        exec::open(&self.options.executable, &dir, exec)
    }
}

/// Process 1, as the host sees it.
fn process_of(records: &Records) -> Result<i32> {
    let process = records.state.as_ref().and_then(|state| state.process.as_ref());
    let pid = process.filter(|process| process.lives()).and_then(|p| i32::try_from(p.pid).ok());
    pid.ok_or_else(|| not_running(&records.wish.id))
}

/// A handle of process 1, which no other process with its number can take over.
fn handle_of(records: &Records) -> Result<OwnedFd> {
    let pid = process_of(records)?;
    let handle = Pid::from_raw(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    // Once more: it was found by its number before there was a handle.
    process_of(records)?;
    handle.ok_or_else(|| not_running(&records.wish.id))
}

fn not_running(task: &TaskId) -> EngineError {
    EngineError::Conflict { what: format!("task {task} does not run"), hint: None }
}

fn signalled(records: &Records, dir: &TaskDir, signal: &str) -> Result<Box<dyn Duplex>> {
    let wanted = keel_names::signal::number(signal).ok_or_else(|| EngineError::Conflict {
        what: format!("`{signal}` is not a signal"),
        hint: Some("a name such as HUP or RTMIN+3, or a number from 1 to 64".into()),
    })?;
    let process = handle_of(records)?;
    // Before it is sent, so that a death by it is never taken for somebody else's deed.
    match record::store(&dir.signalled(), &(clock::now(), wanted)) {
        // What runs on a disk that takes nothing any more can be ended all the same.
        Err(error) if error.kind() == std::io::ErrorKind::ReadOnlyFilesystem => {}
        noted => noted.map_err(blocking::failed("cannot note the signal"))?,
    }
    sys::send_signal(process.as_fd(), wanted)
        .map_err(|error| EngineError::failed(format!("cannot send {signal}"), error))?;
    let (caller, answer) = conversation();
    // There is room: it is the first frame.
    let _ = answer.says.try_send(Frame::Exit(0));
    Ok(caller)
}
