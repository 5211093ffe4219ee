//! Output of tasks as it comes: of one as `docker logs` shows it, of several each line with its
//! container's name, as docker compose does.

mod hints;
mod position;

use crate::connect::{Connection, unasked};
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::show::ago;
use crate::show::screen::Colour;
use crate::subject;
use futures_util::{FutureExt, StreamExt};
use hints::Strangers;
use keel_api::client::Lines;
use keel_api::shapes::{Hint, TaskRef};
use keel_api::{Client, ClientError};
use keel_engine::frames::Frame;
use keel_engine::{Duplex, LogOptions, Open, Phase, Place, TaskId};
use keel_plain as plain;
use keel_reconciler::ask::RefusalKind;
use position::{Position, Stamp};
use std::collections::{BTreeMap, BTreeSet};
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
/// Streams of whoever went away end soon.
const RELEASE: Duration = Duration::from_secs(2);
/// Hints come in bursts: a task that starts changes several times.
const BURST: Duration = Duration::from_millis(100);
/// How long somebody may be away who restarts.
const AWAY: Duration = Duration::from_secs(60);
/// Between two tries to find somebody.
const AGAIN: Duration = Duration::from_millis(200);

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
///
/// # Invariants
/// - Whoever answers may go away and come back: each line is printed once all the same.
pub struct Follower<'a> {
    context: &'a Context,
    client: Client,
    /// Whoever answers since the first one went away.
    own: Option<Connection>,
    options: LogOptions,
    style: Style,
    width: usize,
    /// When it began, for logs of which only the end was wanted.
    began: u64,
    prefixes: BTreeMap<TaskId, String>,
    followed: BTreeSet<TaskId>,
    /// How far each has been read whose stream ended.
    read: BTreeMap<TaskId, Position>,
    ended: BTreeSet<TaskId>,
    readers: JoinSet<(TaskId, Position)>,
    tell: mpsc::Sender<Line>,
    lines: mpsc::Receiver<Line>,
}

struct Line {
    prefix: String,
    text: Vec<u8>,
    error: bool,
}

/// Why following ended for now.
enum Pause {
    /// All of it has ended.
    Over,
    /// Nobody answers any more.
    Lost,
}

impl<'a> Follower<'a> {
    /// Follows nothing yet.
    pub fn new(context: &'a Context, client: Client, options: LogOptions, style: Style) -> Self {
        let (tell, lines) = mpsc::channel(64);
        let (prefixes, followed, read, ended, readers) = Default::default();
        let (own, width, began) = (None, 0, ago::now());
        Self {
            context,
            client,
            own,
            options,
            style,
            width,
            began,
            prefixes,
            followed,
            read,
            ended,
            readers,
            tell,
            lines,
        }
    }

    /// Also these, unless they are followed already; each on from where it was read to.
    pub async fn add(&mut self, tasks: &[TaskRef]) -> Result<()> {
        Ok(self.open(tasks).await?)
    }

    async fn open(&mut self, tasks: &[TaskRef]) -> std::result::Result<(), ClientError> {
        let names = tasks.iter().map(|task| plain::line(&label(task)).chars().count());
        self.width = names.fold(self.width, usize::max);
        for task in tasks {
            let at = self.read.get(&task.id).cloned().unwrap_or_default();
            if self.followed.contains(&task.id) || at.is_last {
                continue;
            }
            let options = at.options(&self.options, self.began, self.read.contains_key(&task.id));
            let logs = self.client.open(&Open::Logs { task: task.id.clone(), options }).await?;
            let prefix = self.prefix(&label(task), self.prefixes.len());
            let prefix = self.prefixes.entry(task.id.clone()).or_insert(prefix).clone();
            self.followed.insert(task.id.clone());
            let reader = Reading {
                prefix,
                style: self.style,
                stamped: self.options.follow,
                keep_stamps: self.options.timestamps,
                until: self.options.until.is_some(),
                tell: self.tell.clone(),
            };
            self.readers.spawn(reader.read(logs, task.id.clone(), at));
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
    /// ended. Where whoever answers goes away, it goes on with whoever comes.
    pub async fn follow(&mut self, words: &[String]) -> Result<()> {
        while let Pause::Lost = self.follow_while_answered(words).await? {
            self.print_rest(RELEASE).await?;
            self.reconnect().await?;
        }
        if let Some(own) = self.own.take() {
            own.close().await;
        }
        Ok(())
    }

    async fn follow_while_answered(&mut self, words: &[String]) -> Result<Pause> {
        let client = self.client.clone();
        let mut hints = match client.events().await {
            Err(error) if is_lost(&error) => return Ok(Pause::Lost),
            hints => hints?,
        };
        let mut strangers = Strangers::default();
        loop {
            // Those that came until now are answered by one question.
            while let Some(Some(hint)) = hints.next().now_or_never() {
                let _ = hint.map(|hint| strangers.may_concern(&hint));
            }
            let tasks = match meant(&client, words).await {
                Err(error) if is_lost(&error) => return Ok(Pause::Lost),
                tasks => tasks?,
            };
            strangers.learn(&tasks);
            match self.open(&tasks).await {
                Err(error) if is_lost(&error) => return Ok(Pause::Lost),
                // It went away just now.
                Err(ClientError::Refused(refusal)) if refusal.kind == RefusalKind::NotFound => {}
                done => done?,
            }
            self.announce(&tasks)?;
            if tasks.iter().all(is_over) {
                self.print_rest(QUIET).await?;
                // What is left may be one that broke off.
                if tasks.iter().all(|task| self.followed.contains(&task.id) || self.is_read(task)) {
                    return Ok(Pause::Over);
                }
                tokio::time::sleep(QUIET).await;
                continue;
            }
            tokio::select! {
                heard = next_of(&mut hints, &mut strangers) => {
                    if !heard && client.info().await.is_err() {
                        return Ok(Pause::Lost);
                    }
                }
                () = tokio::time::sleep(LOOK_AGAIN) => {}
                more = self.print_always() => more?,
            }
        }
    }

    fn is_read(&self, task: &TaskRef) -> bool {
        self.read.get(&task.id).is_some_and(|at| at.is_last)
    }

    /// Prints what is there, until nothing comes for so long.
    async fn print_rest(&mut self, quiet: Duration) -> Result<()> {
        while let Ok(more) = tokio::time::timeout(quiet, self.print_next()).await {
            if !more? {
                break;
            }
        }
        Ok(())
    }

    /// Finds whoever answers now: a new `keel serve`, or for root this process itself. Nothing tells
    /// when a socket is listened on again.
    async fn reconnect(&mut self) -> Result<()> {
        if let Some(own) = self.own.take() {
            own.close().await;
        }
        let (end, mut told) = (tokio::time::Instant::now() + AWAY, false);
        loop {
            if let Some(found) = unasked(self.context).await {
                if found.client.info().await.is_ok() {
                    self.client = found.client.clone();
                    self.own = Some(found);
                    return Ok(());
                }
                found.close().await;
            }
            if tokio::time::Instant::now() > end {
                let message = "the connection to keel broke, and keel does not answer any more";
                return Err(Failure::new(message).hint("start `keel serve` again"));
            }
            if !std::mem::replace(&mut told, true) {
                self.context.screen.say("waiting for `keel serve`; the containers run on");
            }
            tokio::time::sleep(AGAIN).await;
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
                ended = self.readers.join_next() => match ended {
                    Some(Ok((task, at))) => {
                        self.followed.remove(&task);
                        self.read.insert(task, at);
                    }
                    Some(Err(_)) => {}
                    None if self.lines.is_empty() => return Ok(false),
                    None => {}
                }
            }
        }
    }
}

/// Waits for a hint that may be about what is followed, and for the burst that it is part of; `false`: no more
/// will come.
async fn next_of(hints: &mut Lines<Hint>, strangers: &mut Strangers) -> bool {
    while let Some(hint) = hints.next().await {
        if hint.is_ok_and(|hint| strangers.may_concern(&hint)) {
            tokio::time::sleep(BURST).await;
            return true;
        }
    }
    false
}

/// Nobody is there any more, or is not keel.
fn is_lost(error: &ClientError) -> bool {
    matches!(error, ClientError::Unreachable { .. } | ClientError::Broken(_))
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
async fn meant(
    client: &Client,
    words: &[String],
) -> std::result::Result<Vec<TaskRef>, ClientError> {
    let mut tasks = Vec::new();
    for word in words {
        tasks.extend(subject::still_meant(client, word).await?);
    }
    Ok(tasks)
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

/// How one stream is read.
struct Reading {
    prefix: String,
    style: Style,
    /// Lines begin with their times, so that reading can go on elsewhere.
    stamped: bool,
    /// Those are to be shown.
    keep_stamps: bool,
    /// It ends by itself at some time.
    until: bool,
    tell: mpsc::Sender<Line>,
}

impl Reading {
    /// Reads until the stream ends, from a position on. Gives the one that it came to.
    async fn read(
        self,
        mut logs: Box<dyn Duplex>,
        task: TaskId,
        mut at: Position,
    ) -> (TaskId, Position) {
        let mut cutter = Cutter { begun: std::mem::take(&mut at.begun) };
        let mut resumed = at.resumed();
        while let Some(frame) = logs.receive().await {
            let (data, is_error) = match frame {
                Frame::Stdout(data) => (data, false),
                Frame::Stderr(data) => (data, true),
                Frame::Error(text) => {
                    at.is_last = true;
                    let text = format!("{}\n", plain::text(&text)).into_bytes();
                    let _ = self.tell.send(self.line(text, false)).await;
                    break;
                }
                Frame::Exit(_) => break,
                _ => continue,
            };
            let stamp = if self.stamped { Stamp::of(&data) } else { None };
            if resumed.skips(stamp.as_ref()) {
                continue;
            }
            let data = match stamp {
                Some(stamp) if !self.keep_stamps => data[stamp.length..].to_vec(),
                _ => data,
            };
            let lines = match self.style {
                Style::Bare => vec![data],
                _ => cutter.take(&data),
            };
            for text in lines {
                // The receiver goes away only with the whole command.
                let error = is_error && self.style == Style::Bare;
                if self.tell.send(self.line(text, error)).await.is_err() {
                    return (task, at);
                }
            }
            at.note(stamp.as_ref());
        }
        at.is_last |= self.until || !self.stamped;
        match at.is_last {
            true => {
                if let Some(text) = cutter.rest() {
                    let _ = self.tell.send(self.line(text, false)).await;
                }
            }
            // Its end may be read elsewhere.
            false => at.begun = cutter.begun,
        }
        (task, at)
    }

    fn line(&self, text: Vec<u8>, error: bool) -> Line {
        Line { prefix: self.prefix.clone(), text, error }
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
