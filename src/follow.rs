//! Output of several tasks at once, each line with its container's name, as docker compose shows
//! it.

use crate::failure::Result;
use crate::show::screen::Colour;
use keel_api::Client;
use keel_api::shapes::TaskRef;
use keel_engine::frames::Frame;
use keel_engine::{Duplex, LogOptions, Open, Place, TaskId};
use std::collections::BTreeSet;
use std::io::Write;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

const COLOURS: [Colour; 5] =
    [Colour::Cyan, Colour::Yellow, Colour::Green, Colour::Magenta, Colour::Blue];

/// Prints lines of many tasks as they come.
pub struct Follower {
    client: Client,
    options: LogOptions,
    coloured: bool,
    prefixed: bool,
    width: usize,
    followed: BTreeSet<TaskId>,
    readers: JoinSet<()>,
    tell: mpsc::Sender<Line>,
    lines: mpsc::Receiver<Line>,
}

struct Line {
    prefix: String,
    text: Vec<u8>,
}

impl Follower {
    /// Follows nothing yet.
    pub fn new(client: Client, options: LogOptions, coloured: bool) -> Self {
        let (tell, lines) = mpsc::channel(64);
        let (followed, readers) = (BTreeSet::new(), JoinSet::new());
        Self { client, options, coloured, prefixed: true, width: 0, followed, readers, tell, lines }
    }

    /// Whether each line begins with its container's name.
    pub fn prefixed(&mut self, prefixed: bool) {
        self.prefixed = prefixed;
    }

    /// Also these, unless they are followed already.
    pub async fn add(&mut self, tasks: &[TaskRef]) -> Result<()> {
        let names = tasks.iter().map(|task| label(task).chars().count());
        self.width = names.fold(self.width, usize::max);
        for task in tasks {
            if self.followed.contains(&task.id) {
                continue;
            }
            let what = Open::Logs { task: task.id.clone(), options: self.options.clone() };
            let logs = self.client.open(&what).await?;
            let prefix = self.prefix(&label(task), self.followed.len());
            self.followed.insert(task.id.clone());
            self.readers.spawn(read(logs, prefix, self.tell.clone()));
        }
        Ok(())
    }

    fn prefix(&self, name: &str, number: usize) -> String {
        let text = format!("{name:width$}  | ", width = self.width);
        match self.coloured {
            _ if !self.prefixed => String::new(),
            true => COLOURS[number % COLOURS.len()].paint(&text),
            false => text,
        }
    }

    /// Prints the next line; `false` once all that is followed has ended.
    pub async fn print_next(&mut self) -> Result<bool> {
        loop {
            tokio::select! {
                biased;
                Some(line) = self.lines.recv() => {
                    let mut out = std::io::stdout().lock();
                    out.write_all(line.prefix.as_bytes())?;
                    out.write_all(&line.text)?;
                    out.flush()?;
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

/// `web-1`; a one-off's own name.
fn label(task: &TaskRef) -> String {
    match &task.place {
        Place::Slot(slot) => format!("{}-{}", slot.service, slot.slot),
        Place::OneOff(_) => task.name.clone(),
    }
}

async fn read(mut logs: Box<dyn Duplex>, prefix: String, tell: mpsc::Sender<Line>) {
    let mut cutter = Cutter::default();
    while let Some(frame) = logs.receive().await {
        let lines = match frame {
            Frame::Stdout(data) | Frame::Stderr(data) => cutter.take(&data),
            Frame::Error(text) => vec![format!("{text}\n").into_bytes()],
            Frame::Exit(_) => break,
            _ => continue,
        };
        for text in lines {
            let line = Line { prefix: prefix.clone(), text };
            if tell.send(line).await.is_err() {
                return;
            }
        }
    }
    if let Some(text) = cutter.rest() {
        // The receiver goes away only with the whole command.
        let _ = tell.send(Line { prefix, text }).await;
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
