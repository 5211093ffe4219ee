//! A further process inside of a task: `keel enter`, with pipes or a terminal.

use super::relay;
use crate::TaskDir;
use crate::runtime::channel::{Channel, Message};
use crate::session::conversation::{Answer, conversation};
use crate::sys::child::give;
use crate::sys::ready::register;
use keel_engine::frames::Frame;
use keel_engine::{Duplex, EngineError, Exec, Result};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::termios::{Winsize, tcsetwinsize};
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use tokio::io::AsyncWriteExt;
use tokio::io::unix::AsyncFd;
use tokio::process::{Child, ChildStdin};
use tokio::sync::mpsc;

/// Where `keel enter` reads what it shall run.
const ORDER: i32 = 3;

/// Starts the process.
pub(super) fn open(keel: &Path, dir: &TaskDir, exec: Exec) -> Result<Box<dyn Duplex>> {
    let failed = |error: io::Error| EngineError::failed("cannot start `keel enter`", error);
    let mut command = Command::new(keel);
    // What is in this process's environment, tokens say, is nothing for one that enters.
    command.env_clear().arg("enter").arg(&dir.0);
    give(&mut command, order(&exec).map_err(failed)?, ORDER);
    let (caller, answer) = conversation();
    if exec.tty {
        terminal(command, exec.stdin, answer).map_err(failed)?;
    } else {
        pipes(command, exec.stdin, answer).map_err(failed)?;
    }
    Ok(caller)
}

/// The order in a file of memory, ready to be read.
fn order(exec: &Exec) -> io::Result<OwnedFd> {
    let mut file = File::from(memfd_create("exec", MemfdFlags::CLOEXEC)?);
    file.write_all(&serde_json::to_vec(exec)?)?;
    file.rewind()?;
    Ok(file.into())
}

fn pipes(mut command: Command, stdin: bool, answer: Answer) -> io::Result<()> {
    command.stdin(if stdin { Stdio::piped() } else { Stdio::null() });
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = tokio::process::Command::from(command).spawn()?;
    let Answer { hears, says } = answer;
    let out = child.stdout.take().map(|out| relay::output(out, says.clone(), Frame::Stdout));
    let err = child.stderr.take().map(|err| relay::output(err, says.clone(), Frame::Stderr));
    let input = child.stdin.take();
    tokio::spawn(async move {
        let input = tokio::spawn(feed(hears, input));
        let wait = async { tokio::join!(maybe(out), maybe(err)) };
        wait.await;
        finish(child, &says).await;
        input.abort();
    });
    Ok(())
}

async fn maybe(work: Option<impl Future<Output = ()>>) {
    if let Some(work) = work {
        work.await;
    }
}

async fn feed(mut hears: mpsc::Receiver<Frame>, mut input: Option<ChildStdin>) {
    while let Some(frame) = hears.recv().await {
        let Some(pipe) = &mut input else { continue };
        match frame {
            // A process that reads no more is no failure.
            Frame::Stdin(bytes) => drop(pipe.write_all(&bytes).await),
            Frame::StdinEnd => input = None,
            _ => {}
        }
    }
}

async fn finish(mut child: Child, says: &mpsc::Sender<Frame>) {
    let last = match child.wait().await {
        Ok(status) => Frame::Exit(code(status)),
        Err(error) => Frame::Error(format!("cannot wait for `keel enter`: {error}")),
    };
    // The caller may be gone already.
    let _ = says.send(last).await;
}

fn code(status: ExitStatus) -> i32 {
    status.code().or_else(|| Some(128 + status.signal()?)).unwrap_or(125)
}

/// The terminal is the container's own: its master comes back over the helper's standard input.
fn terminal(mut command: Command, stdin: bool, answer: Answer) -> io::Result<()> {
    let (door, theirs) = Channel::pair()?;
    command.stdin(OwnedFd::from(theirs)).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = tokio::process::Command::from(command).spawn()?;
    let error = child.stderr.take();
    let Answer { hears, says } = answer;
    tokio::spawn(async move {
        let came = crate::blocking::run(move || door.receive()).await;
        if let Ok(Some(Message::Terminal(main))) = came {
            converse(main, hears, stdin, &says).await;
        }
        // What kept it from starting, as its output.
        maybe(error.map(|error| relay::output(error, says.clone(), Frame::Stdout))).await;
        finish(child, &says).await;
    });
    Ok(())
}

/// Until the terminal's last user is gone.
async fn converse(
    main: OwnedFd,
    hears: mpsc::Receiver<Frame>,
    stdin: bool,
    says: &mpsc::Sender<Frame>,
) {
    let main = rustix::io::ioctl_fionbio(&main, true)
        .map_err(io::Error::from)
        .and_then(|()| register(main));
    let main = match main {
        Ok(main) => Arc::new(main),
        Err(error) => {
            let _ = says.send(Frame::Error(format!("cannot use the terminal: {error}"))).await;
            return;
        }
    };
    let keyboard = tokio::spawn(keyboard(hears, Arc::clone(&main), stdin));
    screen(&main, says).await;
    keyboard.abort();
}

/// Hands on what the terminal shows, until its last user is gone.
async fn screen(main: &AsyncFd<File>, says: &mpsc::Sender<Frame>) {
    let mut chunk = vec![0; 32 << 10];
    loop {
        let Ok(mut ready) = main.readable().await else { return };
        match ready.try_io(|main| main.get_ref().read(&mut chunk)) {
            Ok(Ok(count @ 1..)) => {
                if says.send(Frame::Stdout(chunk[..count].to_vec())).await.is_err() {
                    return;
                }
            }
            Ok(_) => return,
            Err(_would_block) => {}
        }
    }
}

async fn keyboard(mut hears: mpsc::Receiver<Frame>, main: Arc<AsyncFd<File>>, stdin: bool) {
    while let Some(frame) = hears.recv().await {
        let done = match frame {
            Frame::Stdin(bytes) if stdin => write(&main, &bytes).await,
            // What a terminal's user types to end the input.
            Frame::StdinEnd if stdin => write(&main, &[4]).await,
            Frame::Resize { rows, columns } => resize(&main, rows, columns),
            _ => Ok(()),
        };
        if done.is_err() {
            return;
        }
    }
}

fn resize(main: &AsyncFd<File>, rows: u16, columns: u16) -> io::Result<()> {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    Ok(tcsetwinsize(main.get_ref(), size)?)
}

async fn write(main: &AsyncFd<File>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let mut ready = main.writable().await?;
        if let Ok(count) = ready.try_io(|main| main.get_ref().write(bytes)) {
            bytes = &bytes[count?..];
        }
    }
    Ok(())
}
