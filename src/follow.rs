//! Output of tasks as it comes: of one as `docker logs` shows it, of several each line with its
//! container's name, as docker compose does.

use crate::failure::Result;
use crate::show::screen::Colour;
use crate::target;
use futures_util::StreamExt;
use keel_api::Client;
use keel_api::shapes::TaskRef;
use keel_engine::frames::Frame;
use keel_engine::{Duplex, LogOptions, Open, Phase, Place, TaskId};
use keel_plain as plain;
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

const COLOURS: [Colour; 5] =
    [Colour::Cyan, Colour::Yellow, Colour::Green, Colour::Magenta, Colour::Blue];
/// Hints may be lost.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// A task's output is on disk before its end is; whoever reads it needs a moment to hand it on.
const QUIET: Duration = Duration::from_millis(200);

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// As they are, both outputs apart.
    Bare,
    /// Both outputs together, without names.
    Together,
    /// With the container's name in front.
    Named {
        /// Each in its colour.
        coloured: bool,
    },
}

/// Prints output of tasks as it comes.
pub struct Follower {
    client: Client,
    options: LogOptions,
    style: Style,
    width: usize,
    followed: BTreeSet<TaskId>,
    ended: BTreeSet<TaskId>,
    readers: JoinSet<()>,
    tell: mpsc::Sender<Line>,
    lines: mpsc::Receiver<Line>,
}

struct Line {
    prefix: String,
    text: Vec<u8>,
    error: bool,
}

impl Follower {
    /// Follows nothing yet.
    pub fn new(client: Client, options: LogOptions, style: Style) -> Self {
        let (tell, lines) = mpsc::channel(64);
        let (followed, ended, readers) = Default::default();
        Self { client, options, style, width: 0, followed, ended, readers, tell, lines }
    }

    /// Also these, unless they are followed already.
    pub async fn add(&mut self, tasks: &[TaskRef]) -> Result<()> {
        let names = tasks.iter().map(|task| plain::line(&label(task)).chars().count());
        self.width = names.fold(self.width, usize::max);
        for task in tasks {
            if self.followed.contains(&task.id) {
                continue;
            }
            let what = Open::Logs { task: task.id.clone(), options: self.options.clone() };
            let logs = self.client.open(&what).await?;
            let prefix = self.prefix(&label(task), self.followed.len());
            self.followed.insert(task.id.clone());
            self.readers.spawn(read(logs, prefix, self.style, self.tell.clone()));
        }
        Ok(())
    }

    fn prefix(&self, name: &str, number: usize) -> String {
        let name = plain::line(name);
        let text = format!("{name:width$}  | ", width = self.width);
        match self.style {
            Style::Bare | Style::Together => String::new(),
            Style::Named { coloured: false } => text,
            Style::Named { coloured: true } => COLOURS[number % COLOURS.len()].paint(&text),
        }
    }

    /// Prints all that there is; ends when the streams do.
    pub async fn print(&mut self) -> Result<()> {
        while self.print_next().await? {}
        Ok(())
    }

    /// Prints the output of whatever the words mean, new tasks included, until all of them have
    /// ended.
    pub async fn follow(&mut self, words: &[String]) -> Result<()> {
        let client = self.client.clone();
        let mut hints = client.events().await?;
        loop {
            let tasks = meant(&client, words).await;
            self.add(&tasks).await?;
            self.announce(&tasks)?;
            if tasks.iter().all(is_over) {
                while let Ok(more) = tokio::time::timeout(QUIET, self.print_next()).await {
                    if !more? {
                        break;
                    }
                }
                return Ok(());
            }
            tokio::select! {
                Some(_) = hints.next() => {}
                () = tokio::time::sleep(LOOK_AGAIN) => {}
                more = self.print_always() => more?,
            }
        }
    }

    /// Prints for as long as there is something; then waits to be dropped.
    async fn print_always(&mut self) -> Result<()> {
        self.print().await?;
        std::future::pending().await
    }

    /// Says of each that has ended how, once.
    fn announce(&mut self, tasks: &[TaskRef]) -> Result<()> {
        if !matches!(self.style, Style::Named { .. }) {
            return Ok(());
        }
        for task in tasks {
            if !is_over(task) {
                self.ended.remove(&task.id);
            } else if let (true, Some(code)) = (self.ended.insert(task.id.clone()), task.exit_code)
            {
                writeln!(io::stdout(), "{} exited with code {code}", plain::line(&label(task)))?;
            }
        }
        Ok(())
    }

    /// Prints the next line; `false` once all that is followed has ended.
    async fn print_next(&mut self) -> Result<bool> {
        loop {
            tokio::select! {
                biased;
                Some(line) = self.lines.recv() => {
                    print(&line)?;
                    return Ok(true);
                }
                ended = self.readers.join_next() => {
                    if ended.is_none() && self.lines.is_empty() {
                        return Ok(false);
                    }
                }
            }
        }
    }
}

fn print(line: &Line) -> Result<()> {
    if line.error {
        // Whoever closed standard error does not want it.
        let _ = io::stderr().lock().write_all(&line.text);
        return Ok(());
    }
    let mut out = io::stdout().lock();
    out.write_all(line.prefix.as_bytes())?;
    out.write_all(&line.text)?;
    Ok(out.flush()?)
}

/// What is gone meanwhile means nothing more.
async fn meant(client: &Client, words: &[String]) -> Vec<TaskRef> {
    let mut tasks = Vec::new();
    for word in words {
        tasks.extend(target::tasks(client, word).await.unwrap_or_default());
    }
    tasks
}

fn is_over(task: &TaskRef) -> bool {
    matches!(task.phase, Phase::Exited | Phase::Rejected)
}

/// `web-1`; a one-off's own name.
fn label(task: &TaskRef) -> String {
    match &task.place {
        Place::Slot(slot) => format!("{}-{}", slot.service, slot.slot),
        Place::OneOff(_) => task.name.clone(),
    }
}

async fn read(mut logs: Box<dyn Duplex>, prefix: String, style: Style, tell: mpsc::Sender<Line>) {
    let mut cutter = Cutter::default();
    while let Some(frame) = logs.receive().await {
        let error = style == Style::Bare && matches!(frame, Frame::Stderr(_));
        let lines = match frame {
            Frame::Stdout(data) | Frame::Stderr(data) if style == Style::Bare => vec![data],
            Frame::Stdout(data) | Frame::Stderr(data) => cutter.take(&data),
            Frame::Error(text) => vec![format!("{}\n", plain::text(&text)).into_bytes()],
            Frame::Exit(_) => break,
            _ => continue,
        };
        for text in lines {
            if tell.send(Line { prefix: prefix.clone(), text, error }).await.is_err() {
                return;
            }
        }
    }
    if let Some(text) = cutter.rest() {
        // The receiver goes away only with the whole command.
        let _ = tell.send(Line { prefix, text, error: false }).await;
    }
}

/// Cuts pieces of output into whole lines.
#[derive(Default)]
struct Cutter {
    begun: Vec<u8>,
}

/// A line that never ends is printed in pieces of this size.
const LONGEST: usize = 64 << 10;

impl Cutter {
    fn take(&mut self, data: &[u8]) -> Vec<Vec<u8>> {
        let mut lines = Vec::new();
        for piece in data.split_inclusive(|byte| *byte == b'\n') {
            self.begun.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                lines.push(std::mem::take(&mut self.begun));
            } else if self.begun.len() > LONGEST {
                lines.extend(self.rest());
            }
        }
        lines
    }

    fn rest(&mut self) -> Option<Vec<u8>> {
        if self.begun.is_empty() {
            return None;
        }
        self.begun.push(b'\n');
        Some(std::mem::take(&mut self.begun))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_cut_into_lines() {
        let mut cutter = Cutter::default();
        assert_eq!(cutter.take(b"one\ntw"), [b"one\n".to_vec()]);
        assert_eq!(cutter.take(b"o\n\nthree"), [b"two\n".to_vec(), b"\n".to_vec()]);
        assert_eq!(cutter.rest(), Some(b"three\n".to_vec()));
        assert_eq!(cutter.rest(), None);
        assert_eq!(cutter.take(&vec![b'x'; LONGEST + 1]).len(), 1);
    }
}
