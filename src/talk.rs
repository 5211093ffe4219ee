//! A conversation with one task: the person's input to it, its output to the person.
//!
//! # Invariants
//! - Only a process that has a terminal gets the person's in raw mode, and their window's size.
//! - The end of input is passed on, and does not end the conversation: the task does.

use crate::detaching::{DetachKeys, Watcher};
use crate::failure::{Failure, Result};
use crate::terminal::{self, Raw};
use keel_api::Client;
use keel_engine::frames::Frame;
use keel_engine::{Duplex, FrameWriter, Open, TaskId};
use std::io::{Read, Write};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

/// How to talk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manner {
    /// Hand over standard input.
    pub stdin: bool,
    /// The process has a terminal.
    pub tty: bool,
    /// Hand signals over instead of ending by them: the task's end is ours.
    pub signals: bool,
    /// The process ran before we came, and others may come after us: the end of our input is not the end of
    /// its own, and what is on its terminal is to be drawn again.
    pub joins: bool,
    /// Keys that leave the process to itself.
    pub detach_keys: Option<DetachKeys>,
}

/// What happens in a conversation.
#[derive(Debug)]
enum Heard {
    Input(Frame),
    Resized,
    Signal(&'static str),
    Detached,
}

/// How a conversation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The process ended.
    Exited(i32),
    /// The person typed the detach keys.
    Detached,
    /// The other side closed without a word.
    Closed,
}

/// Talks until the task's side is done. `signals` are told of those that the person sends.
pub async fn talk(
    with: Box<dyn Duplex>,
    manner: Manner,
    signals: mpsc::Sender<&'static str>,
) -> Result<End> {
    let _raw = match manner.tty && manner.stdin {
        true => {
            Raw::of_stdin().map_err(|error| Failure::caused("cannot use the terminal", &error))?
        }
        false => None,
    };
    let (mut reader, mut writer) = with.split();
    let mut heard = listen(&manner)?;
    if manner.tty {
        resize(writer.as_mut(), manner.joins).await;
    }
    loop {
        tokio::select! {
            frame = reader.receive() => if let Some(end) = said(frame)? {
                return Ok(end);
            },
            Some(event) = heard.recv() => match event {
                // A task that takes no more input says by itself how it ended.
                Heard::Input(frame) => { let _ = writer.send(frame).await; }
                Heard::Resized => resize(writer.as_mut(), false).await,
                Heard::Detached => return Ok(End::Detached),
                // Whoever does not listen asked for none.
                Heard::Signal(name) => { let _ = signals.send(name).await; }
            },
        }
    }
}

/// Prints what the task said; how it ended, if that was it.
fn said(frame: Option<Frame>) -> Result<Option<End>> {
    match frame {
        None => Ok(Some(End::Closed)),
        Some(Frame::Exit(code)) => Ok(Some(End::Exited(code))),
        Some(Frame::Error(text)) => Err(Failure::new(text)),
        Some(Frame::Stdout(data)) => {
            let mut out = std::io::stdout().lock();
            out.write_all(&data)?;
            out.flush()?;
            Ok(None)
        }
        Some(Frame::Stderr(data)) => {
            // Whoever closed standard error does not want it.
            let _ = std::io::stderr().lock().write_all(&data);
            Ok(None)
        }
        Some(Frame::Stdin(_) | Frame::StdinEnd | Frame::Resize { .. }) => Ok(None),
    }
}

/// A program draws again only where the size changes: `anew` changes it twice.
async fn resize(writer: &mut dyn FrameWriter, anew: bool) {
    if let Some((rows, columns)) = terminal::size() {
        if anew {
            let _ = writer.send(Frame::Resize { rows: rows.saturating_add(1), columns }).await;
        }
        // An error here is the end, which the reader sees too.
        let _ = writer.send(Frame::Resize { rows, columns }).await;
    }
}

fn listen(manner: &Manner) -> Result<mpsc::Receiver<Heard>> {
    let (tell, heard) = mpsc::channel(16);
    if manner.stdin {
        let (tell, joins) = (tell.clone(), manner.joins);
        let watcher = manner.detach_keys.clone().map(Watcher::new);
        std::thread::spawn(move || read_stdin(&tell, watcher, joins));
    }
    if manner.tty {
        let mut resized = handler(SignalKind::window_change())?;
        let tell = tell.clone();
        tokio::spawn(async move {
            while resized.recv().await.is_some() && tell.send(Heard::Resized).await.is_ok() {}
        });
    }
    if manner.signals {
        let named = [
            ("INT", SignalKind::interrupt()),
            ("TERM", SignalKind::terminate()),
            ("HUP", SignalKind::hangup()),
            ("QUIT", SignalKind::quit()),
        ];
        for (name, kind) in named {
            let (mut signals, tell) = (handler(kind)?, tell.clone());
            tokio::spawn(async move {
                while signals.recv().await.is_some() && tell.send(Heard::Signal(name)).await.is_ok()
                {
                }
            });
        }
    }
    // The loop's `recv` must never see the end of the channel.
    tokio::spawn(async move { tell.closed().await });
    Ok(heard)
}

/// For conversations that hand over no signals.
pub fn nobody() -> mpsc::Sender<&'static str> {
    mpsc::channel(1).0
}

fn handler(kind: SignalKind) -> Result<Signal> {
    signal(kind).map_err(|error| Failure::caused("cannot listen for signals", &error))
}

/// Sends a signal to a task's process; one that is gone needs none.
pub async fn send_signal(client: &Client, task: &TaskId, signal: &str) {
    let what = Open::Signal { task: task.clone(), signal: signal.to_owned() };
    if let Ok(mut sent) = client.open(&what).await {
        while sent.receive().await.is_some() {}
    }
}

/// Blocks in a thread of its own: a terminal cannot be read in any other way.
fn read_stdin(tell: &mpsc::Sender<Heard>, mut watcher: Option<Watcher>, joins: bool) {
    let mut buffer = [0; 16 << 10];
    loop {
        let count = std::io::stdin().lock().read(&mut buffer).unwrap_or(0);
        if count == 0 {
            if !joins {
                let _ = tell.blocking_send(Heard::Input(Frame::StdinEnd));
            }
            return;
        }
        let (input, detaches) = match &mut watcher {
            Some(watcher) => {
                let typed = watcher.take(&buffer[..count]);
                (typed.rest, typed.detaches)
            }
            None => (buffer[..count].to_vec(), false),
        };
        let passed =
            input.is_empty() || tell.blocking_send(Heard::Input(Frame::Stdin(input))).is_ok();
        if detaches {
            let _ = tell.blocking_send(Heard::Detached);
        }
        if detaches || !passed {
            return;
        }
    }
}
