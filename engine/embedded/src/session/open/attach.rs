//! A task's own input and output, through its shim's socket.
//!
//! Whoever attaches before the run begins misses none of it: the driver starts the process only
//! once those who wait are connected.

use super::relay;
use super::signal::not_running;
use crate::session::conversation::{Answer, conversation};
use crate::session::waiting::Waiting;
use crate::task::async_records;
use crate::task::step::Alive;
use crate::view::inotify::Watch;
use crate::{Layout, TaskDir};
use keel_engine::frames::Frame;
use keel_engine::{Duplex, Goal, Result, TaskId};
use rustix::fs::{CWD, Mode, OFlags, openat};
use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use tokio::net::UnixStream;

/// Connects to the task's shim: at once, or as soon as there is one.
pub(super) async fn attach(
    layout: &Layout,
    waiting: &Arc<Waiting>,
    task: TaskId,
    dir: TaskDir,
    stdin: bool,
) -> Result<Box<dyn Duplex>> {
    let (caller, answer) = conversation();
    if let Ok(stream) = connect(&dir).await {
        tokio::spawn(relay(stream, answer, stdin));
        return Ok(caller);
    }
    let records = async_records::load(layout, &task).await?.ok_or_else(|| not_running(&task))?;
    let comes = records.latest().goal <= Goal::Running;
    let over = records.state.is_some() && !Alive::of(&records).shim;
    if !comes || (over && records.work.generation == records.latest().generation) {
        return Err(not_running(&task));
    }
    let waiting = Arc::clone(waiting);
    let (begun, begins) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let waiter = waiting.add(&task);
        // The caller hears that it may start the task now.
        let _ = begun.send(());
        let connected = appear(&dir, &answer).await;
        drop(waiter);
        match connected {
            Ok(Some(stream)) => relay(stream, answer, stdin).await,
            Ok(None) => {}
            Err(error) => {
                let text = format!("cannot attach to task {task}: {error}");
                // The caller may be gone already.
                let _ = answer.says.send(Frame::Error(text)).await;
            }
        }
    });
    // An error would mean that the task above was ended with the runtime.
    let _ = begins.await;
    Ok(caller)
}

/// Waits for the shim's socket; `None` when the caller has gone.
async fn appear(dir: &TaskDir, answer: &Answer) -> io::Result<Option<UnixStream>> {
    let watch = Watch::new()?;
    watch.add_growing(&dir.0)?;
    loop {
        match connect(dir).await {
            Ok(stream) => return Ok(Some(stream)),
            Err(error) if !dir.is_assigned().await => return Err(error),
            Err(_) => {}
        }
        tokio::select! {
            changes = watch.next() => drop(changes?),
            () = answer.says.closed() => return Ok(None),
        }
    }
}

/// By the folder's descriptor: a socket's path is short, a root's need not be.
async fn connect(dir: &TaskDir) -> io::Result<UnixStream> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = dir.0.clone();
    let folder = crate::blocking::run(move || openat(CWD, &folder, flags, Mode::empty())).await?;
    UnixStream::connect(format!("/proc/self/fd/{}/attach.sock", folder.as_raw_fd())).await
}

async fn relay(stream: UnixStream, answer: Answer, stdin: bool) {
    let (from, to) = stream.into_split();
    let Answer { mut hears, says } = answer;
    let (pass, passed) = tokio::sync::mpsc::channel(1);
    let input = tokio::spawn(async move {
        let filter = async {
            while let Some(frame) = hears.recv().await {
                let is_input = matches!(frame, Frame::Stdin(_) | Frame::StdinEnd);
                if (stdin || !is_input) && pass.send(frame).await.is_err() {
                    return;
                }
            }
            drop(pass);
        };
        tokio::join!(filter, relay::frame(passed, to)).1
    });
    if let Err(error) = relay::unframe(from, &says).await {
        // The caller may be gone already.
        let _ = says.send(Frame::Error(format!("the shim's answer broke off: {error}"))).await;
    }
    input.abort();
}
