//! What a person opens: output, a further process, the process's own terminal, a signal.

mod attach;
mod exec;
mod relay;
mod signal;

use crate::session::waiting::Waiting;
use crate::task::async_records;
use crate::task::records::Records;
use crate::{Layout, TaskDir, blocking, session::logs};
use keel_engine::{Duplex, EngineError, Exec, Open, Result, Thing};
use std::path::PathBuf;
use std::sync::Arc;

/// Where conversations with one root's tasks are opened.
pub(crate) struct Sessions {
    pub(crate) layout: Layout,
    /// The `keel` executable, which enters containers.
    pub(crate) program: PathBuf,
    pub(crate) waiting: Arc<Waiting>,
}

impl Sessions {
    /// Opens one conversation.
    pub(crate) async fn open(&self, what: Open) -> Result<Box<dyn Duplex>> {
        let (Open::Logs { task, .. }
        | Open::Exec { task, .. }
        | Open::Attach { task, .. }
        | Open::Signal { task, .. }) = &what;
        let Some(records) = async_records::load(&self.layout, task).await? else {
            return Err(EngineError::NotFound { kind: Thing::Task, name: task.to_string() });
        };
        let dir = self.layout.task(task);
        match what {
            Open::Logs { options, .. } => Ok(logs::open(dir, options)),
            Open::Exec { exec, .. } => self.exec(&records, dir, exec),
            Open::Attach { task, stdin } => {
                attach::attach(&self.layout, &self.waiting, task, dir, stdin).await
            }
            Open::Signal { signal, .. } => {
                blocking::run(move || signal::signalled(&records, &dir, &signal)).await
            }
        }
    }

    fn exec(&self, records: &Records, dir: TaskDir, exec: Exec) -> Result<Box<dyn Duplex>> {
        signal::process_of(records)?;
        exec::open(&self.program, &dir, exec)
    }
}
