//! Keeps `keel net` running while tasks need it: one that was killed is started again.

use crate::desk::Desk;
use crate::root::ended::end_of;
use crate::root::record::{self, Process};
use crate::task::records::Records;
use crate::task::step::Alive;
use crate::task::step_error::pause;
use crate::view::inotify::Watch;
use crate::{Layout, blocking, resolver};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long a new `keel net` may take until it says that it serves.
const START: Duration = Duration::from_secs(10);

/// Looks after the `keel net` of one root.
pub(crate) struct NameKeeper {
    desk: Arc<Desk>,
    /// Somebody does.
    kept: AtomicBool,
}

impl NameKeeper {
    pub(crate) fn new(desk: Arc<Desk>) -> Self {
        Self { desk, kept: AtomicBool::new(false) }
    }

    /// From now on, looks after the `keel net` that was just started. Once is enough.
    pub(crate) fn keep(self: &Arc<Self>) {
        if !self.kept.swap(true, Ordering::AcqRel) {
            let keeper = Arc::clone(self);
            self.desk.spawn(async move {
                tokio::select! {
                    () = keeper.look_after_names() => {}
                    () = keeper.desk.closed() => {}
                }
                keeper.kept.store(false, Ordering::Release);
            });
        }
    }

    async fn look_after_names(&self) {
        let mut attempts = 0;
        loop {
            match serving(&self.desk.layout).await {
                Ok(process) => {
                    attempts = 0;
                    end_of(Some(process)).await;
                }
                Err(_) => {
                    attempts += 1;
                    tokio::time::sleep(pause(attempts)).await;
                }
            }
            let view = Arc::clone(&self.desk.view);
            let needed = blocking::run(move || {
                view.records().is_ok_and(|all| all.iter().any(|task| is_named(task)))
            });
            if !needed.await {
                return;
            }
            let (layout, program) =
                (self.desk.layout.clone(), self.desk.options.executable.clone());
            // Should it fail, nothing serves, and the next round tries again.
            let _ = blocking::run(move || resolver::ensure(&layout, &program)).await;
        }
    }
}

/// Whether a task runs that has names.
pub(crate) fn is_named(task: &Records) -> bool {
    !task.work.endpoints.is_empty() && Alive::of(task).shim
}

/// The `keel net` that serves, awaited for a while.
async fn serving(layout: &Layout) -> io::Result<Process> {
    let run = layout.run();
    blocking::run(move || std::fs::create_dir_all(run)).await?;
    let watch = Watch::new()?;
    watch.add(&layout.run())?;
    let wait = async {
        loop {
            let path = resolver::pid_path(layout);
            let found = blocking::run(move || record::load::<Process>(&path)).await?;
            if let Some(process) = found.filter(Process::lives) {
                return Ok(process);
            }
            watch.next().await?;
        }
    };
    tokio::time::timeout(START, wait).await?
}
