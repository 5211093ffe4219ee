//! A task's output, from its log files on to what is still being written.
//!
//! # Invariants
//! - A line is one frame with its line end; a line that is not over yet comes in pieces.
//! - Rotation loses nothing: the old file is read to its end before the new one is begun.

mod line;

use crate::session::conversation::{Answer, conversation};
use crate::view::inotify::Watch;
use crate::{TaskDir, blocking};
use keel_engine::frames::Frame;
use keel_engine::{Duplex, LogOptions};
use line::Line;
use std::collections::{BTreeSet, VecDeque};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// How much is read at a time.
const CHUNK: usize = 64 << 10;

/// Opens the log of the task in this folder.
pub(crate) fn open(dir: TaskDir, options: LogOptions) -> Box<dyn Duplex> {
    let (caller, answer) = conversation();
    tokio::spawn(async move {
        let Answer { hears: _hears, says } = &answer;
        if let Err(error) = tell(&dir, &options, says).await {
            let text = format!("cannot read {}: {error}", dir.log().display());
            // The caller may be gone already.
            let _ = says.send(Frame::Error(text)).await;
        }
    });
    caller
}

type Says = tokio::sync::mpsc::Sender<Frame>;

async fn tell(dir: &TaskDir, options: &LogOptions, says: &Says) -> io::Result<()> {
    // Watched before the first look, so that nothing is missed in between.
    let watch = if options.follow { Some(Watch::new()?) } else { None };
    if let Some(watch) = &watch {
        watch.add_growing(&dir.0)?;
    }
    let (lines, mut reader) = say(dir, options, says).await;
    if !send(lines, says, options).await {
        return Ok(());
    }
    let Some(watch) = watch else { return Ok(()) };
    while dir.is_assigned().await && !says.is_closed() {
        tokio::select! {
            changes = watch.next() => { changes?; }
            () = says.closed() => return Ok(()),
        }
        loop {
            let (log, mut at) = (dir.log(), reader);
            let lines;
            (lines, reader) = blocking::run(move || (at.more(&log), at)).await;
            let lines = lines?;
            if lines.is_empty() {
                break;
            }
            if !send(lines, says, options).await {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// What is there by now, and not what comes meanwhile: it may come faster than it is said. All of it
/// goes out as it is read, unless only its end is wanted.
async fn say(dir: &TaskDir, options: &LogOptions, says: &Says) -> (Vec<Line>, Reader) {
    let (mut last, mut reader) = (Last::new(options.tail), Reader::default());
    let folder = dir.clone();
    for (file, length) in blocking::run(move || files(&folder)).await {
        reader.begin(file, length);
        loop {
            let (lines, mut at);
            at = reader;
            (lines, reader) = blocking::run(move || (at.known(), at)).await;
            let Some(lines) = lines.ok().filter(|lines| !lines.is_empty()) else { break };
            let lines = lines.into_iter().filter(|line| line.is_between(options.since, None));
            match &mut last {
                Some(last) => lines.for_each(|line| last.push(line)),
                None if send(lines.collect(), says, options).await => {}
                None => return (Vec::new(), reader),
            }
        }
    }
    (last.map(|last| last.lines.into()).unwrap_or_default(), reader)
}

/// All that is there, oldest first, with the length that each has now. Opened at once, so that a
/// rotation in between neither hides one nor shows it twice.
fn files(dir: &TaskDir) -> Vec<(File, u64)> {
    let log = dir.log();
    let old = |number: u32| log.with_extension(number.to_string());
    let mut files: Vec<(File, u64)> = Vec::new();
    let mut seen = BTreeSet::new();
    // The newest first: what is rotated meanwhile is met again under its older name.
    for path in [log.clone(), old(1), old(2)] {
        let Ok(file) = File::open(&path) else { continue };
        let Ok(found) = file.metadata() else { continue };
        if seen.insert((found.dev(), found.ino())) {
            files.insert(0, (file, found.len()));
        }
    }
    files
}

/// False once the caller is gone, or a line is younger than wanted.
async fn send(lines: Vec<Line>, says: &Says, options: &LogOptions) -> bool {
    for line in lines {
        if !line.is_between(None, options.until) {
            return false;
        }
        if says.send(line.frame(options.timestamps)).await.is_err() {
            return false;
        }
    }
    true
}

/// The last so many lines; pieces count with their line.
struct Last {
    lines: VecDeque<Line>,
    whole: u64,
    limit: u64,
}

impl Last {
    fn new(limit: Option<u64>) -> Option<Self> {
        limit.map(|limit| Self { lines: VecDeque::new(), whole: 0, limit })
    }

    fn push(&mut self, line: Line) {
        self.whole += u64::from(line.ends);
        self.lines.push_back(line);
        while self.whole > self.limit {
            let gone = self.lines.pop_front().is_some_and(|line| line.ends);
            self.whole -= u64::from(gone);
        }
    }
}

/// Reads one file after the other, each on from where it was left.
#[derive(Default)]
struct Reader {
    file: Option<File>,
    /// So many bytes of it are read, and no more, where that is known.
    left: Option<u64>,
    rest: Vec<u8>,
    /// The last line that was handed out is not over yet.
    open_line: bool,
}

impl Reader {
    /// On with this file, of which so many bytes are known.
    fn begin(&mut self, file: File, length: u64) {
        (self.file, self.left) = (Some(file), Some(length));
    }

    /// The next lines of what was known of the file; none at its end.
    fn known(&mut self) -> io::Result<Vec<Line>> {
        let Some(file) = &mut self.file else { return Ok(Vec::new()) };
        let mut known = file.take(self.left.unwrap_or_default());
        let lines = read(&mut known, &mut self.rest, &mut self.open_line);
        self.left = Some(known.limit());
        lines
    }

    /// The next lines; none at the end of what is written so far at this path.
    fn more(&mut self, path: &Path) -> io::Result<Vec<Line>> {
        loop {
            if let Some(file) = &mut self.file {
                let lines = read(file, &mut self.rest, &mut self.open_line)?;
                if !lines.is_empty() || is_at(file, path)? {
                    return Ok(lines);
                }
            }
            match File::open(path) {
                Ok(file) => self.file = Some(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
                Err(error) => return Err(error),
            }
        }
    }
}

/// Whether this path still names the open file; if not, the file's end has been read.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let open = file.metadata()?;
    match std::fs::metadata(path) {
        Ok(named) => Ok((open.dev(), open.ino()) == (named.dev(), named.ino())),
        Err(_) => Ok(true),
    }
}

fn read(file: &mut impl Read, rest: &mut Vec<u8>, open_line: &mut bool) -> io::Result<Vec<Line>> {
    let mut lines = Vec::new();
    let mut chunk = vec![0; CHUNK];
    while lines.is_empty() {
        let count = file.read(&mut chunk)?;
        if count == 0 {
            break;
        }
        rest.extend_from_slice(&chunk[..count]);
        let Some(end) = rest.iter().rposition(|byte| *byte == b'\n') else { continue };
        let whole: Vec<u8> = rest.drain(..=end).collect();
        for text in whole.split(|byte| *byte == b'\n') {
            let Some(line) = Line::parse(text, *open_line) else { continue };
            *open_line = !line.ends;
            lines.push(line);
        }
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn log(dir: &TaskDir, file: &str, seconds: std::ops::Range<u32>) {
        let mut file = File::options().append(true).create(true).open(dir.0.join(file)).unwrap();
        for second in seconds {
            writeln!(file, "2026-01-02T03:04:{second:02}.000000000Z stdout F line {second}")
                .unwrap();
        }
    }

    async fn all(dir: &TaskDir, options: LogOptions) -> Vec<String> {
        let mut heard = open(dir.clone(), options);
        let mut lines = Vec::new();
        while let Some(frame) = heard.receive().await {
            let Frame::Stdout(text) = frame else { panic!("{frame:?}") };
            lines.push(String::from_utf8(text).unwrap().trim_end().to_owned());
        }
        lines
    }

    #[tokio::test]
    async fn rotated_files_come_in_order_and_options_choose() {
        let folder = tempfile::tempdir().unwrap();
        let dir = TaskDir(folder.path().to_owned());
        log(&dir, "log.1", 0..2);
        log(&dir, "log", 2..4);
        let plain = LogOptions::default();
        assert_eq!(all(&dir, plain.clone()).await, ["line 0", "line 1", "line 2", "line 3"]);
        let tail = LogOptions { tail: Some(3), ..plain.clone() };
        assert_eq!(all(&dir, tail).await, ["line 1", "line 2", "line 3"]);
        let at = 1_767_323_041_000; // 2026-01-02T03:04:01Z
        let window = LogOptions { since: Some(at), until: Some(at + 1_000), ..plain.clone() };
        assert_eq!(all(&dir, window).await, ["line 1", "line 2"]);
        let stamped = LogOptions { tail: Some(1), timestamps: true, ..plain };
        assert_eq!(all(&dir, stamped).await, ["2026-01-02T03:04:03.000000000Z line 3"]);
    }

    #[tokio::test]
    async fn following_goes_through_a_rotation_until_the_task_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let dir = TaskDir(folder.path().join("task"));
        std::fs::create_dir(&dir.0).unwrap();
        std::fs::write(dir.assignment(), "").unwrap();
        log(&dir, "log", 0..2);
        let options = LogOptions { follow: true, tail: Some(1), ..LogOptions::default() };
        let mut heard = open(dir.clone(), options);
        assert_eq!(heard.receive().await, Some(Frame::Stdout(b"line 1\n".to_vec())));
        log(&dir, "log", 2..3);
        assert_eq!(heard.receive().await, Some(Frame::Stdout(b"line 2\n".to_vec())));
        log(&dir, "log", 3..4);
        std::fs::rename(dir.log(), dir.0.join("log.1")).unwrap();
        log(&dir, "log", 4..5);
        assert_eq!(heard.receive().await, Some(Frame::Stdout(b"line 3\n".to_vec())));
        assert_eq!(heard.receive().await, Some(Frame::Stdout(b"line 4\n".to_vec())));
        std::fs::remove_dir_all(&dir.0).unwrap();
        assert_eq!(heard.receive().await, None);
    }
}
