//! Whether the places of the host that a task mounts answer at all.
//!
//! Behind a path may be a file system whose server is gone (`sshfs`, NFS) or has ill intent: whoever
//! asks it waits in the kernel, and no signal ends that. So a process of its own asks first, which can
//! be left behind, before anybody looks who holds what others wait for.
//!
//! # Invariants
//! - Who did not answer is not asked again while somebody still waits for the answer.

use crate::task::step::Step as Next;
use crate::task::step_error::{StepError, Stepped, cannot};
use crate::{Layout, blocking, root::places};
use keel_engine::{FailureKind, MountError, TaskAssignment, TaskId};
use std::collections::HashMap;
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};

/// How long an answer may take; disks that sleep take some seconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// Those who were sent to ask a place of the host and still wait, and for what, by the task that they were sent for.
#[derive(Default)]
pub(crate) struct Unanswered(Mutex<HashMap<TaskId, (Child, PathBuf)>>);

impl Unanswered {
    /// Waits until all that a task mounts of the host has answered, before a step that needs it.
    pub(crate) async fn answer(
        &self,
        layout: &Layout,
        program: &Path,
        wish: &TaskAssignment,
        before: Next,
    ) -> Stepped<()> {
        if !is_asked(wish, before) {
            return Ok(());
        }
        let (layout, mounts) = (layout.clone(), wish.spec.volumes.clone());
        let paths = blocking::run(move || places::of_host(&layout, &mounts)).await?;
        if paths.is_empty() {
            return Ok(());
        }
        if let Some(path) = self.of(&wish.id) {
            return Err(silent(&path));
        }
        let mut ask = Command::new(program);
        ask.env_clear().arg("look").args(&paths);
        ask.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = ask.spawn().map_err(cannot("start `keel look`"))?;
        let mut answers = Vec::new();
        if let Some(mut told) = child.stdout.take() {
            let heard = told.read_to_end(&mut answers);
            if tokio::time::timeout(PATIENCE, heard).await.is_ok() {
                // It has come to its end, and whoever mounts these hears what is wrong with them.
                return Ok(());
            }
        }
        let Some(path) = paths.into_iter().nth(answers.len()) else { return Ok(()) };
        let _ = child.start_kill();
        self.all().insert(wish.id.clone(), (child, path.clone()));
        Err(silent(&path))
    }

    fn all(&self) -> MutexGuard<'_, HashMap<TaskId, (Child, PathBuf)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What somebody still waits for.
    fn of(&self, id: &TaskId) -> Option<PathBuf> {
        let mut all = self.all();
        all.retain(|_, (child, _)| matches!(child.try_wait(), Ok(None)));
        all.get(id).map(|(_, path)| path.clone())
    }
}

/// Whether a step looks at what is mounted.
pub(crate) fn is_asked(wish: &TaskAssignment, step: Next) -> bool {
    matches!(step, Next::Prepare | Next::Launch) || step == Next::Update && wish.anew
}

fn silent(path: &Path) -> StepError {
    let (path, seconds) = (path.display().to_string(), PATIENCE.as_secs());
    StepError::waits(FailureKind::Mount(MountError::Silent { path, seconds }))
}

/// `keel look PATH...`: looks at each, and says so by a byte. Hidden.
#[must_use]
pub fn look(paths: &[OsString]) -> i32 {
    for path in paths {
        // Whether there is anything is no question here.
        let _ = std::fs::metadata(path);
        if std::io::stdout().write_all(b".").and_then(|()| std::io::stdout().flush()).is_err() {
            return 1;
        }
    }
    0
}
