//! How far a task's output was read, so that it can be read on elsewhere: nothing twice, nothing left
//! out. Pure.
//!
//! Streams have no numbers, but each line begins with its time, and one can be asked for from a
//! millisecond on. So what is kept is the millisecond of the last line that began, and how many pieces
//! came since the first line of that millisecond.

use keel_engine::LogOptions;

/// `2026-01-02T03:04:05.123456789Z `.
const LENGTH: usize = 31;

/// The time that a line begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Milliseconds since the epoch.
    millis: u64,
    /// Bytes, with the blank behind it.
    pub length: usize,
}

impl Stamp {
    /// Of a piece; `None` for one that goes on a line.
    pub fn of(data: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(data.get(..LENGTH)?).ok()?;
        let (time, rest) = text.split_once(' ').filter(|(time, _)| time.ends_with('Z'))?;
        let time: jiff::Timestamp = time.parse().ok().filter(|_| rest.is_empty())?;
        Some(Self { millis: u64::try_from(time.as_millisecond()).ok()?, length: LENGTH })
    }
}

/// How far a stream was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Position {
    /// The millisecond of the last line that began.
    millis: Option<u64>,
    /// Pieces since the first line of it.
    pieces: usize,
    /// A line that began, and has no end yet.
    pub begun: Vec<u8>,
    /// There is nothing more to be read.
    pub is_last: bool,
}

impl Position {
    /// A piece was read.
    pub fn note(&mut self, stamp: Option<&Stamp>) {
        match stamp {
            Some(stamp) if self.millis != Some(stamp.millis) => {
                (self.millis, self.pieces) = (Some(stamp.millis), 1);
            }
            _ => self.pieces += 1,
        }
    }

    /// What to ask for to read on from here; `again`: it is not the first time.
    pub fn options(&self, asked: &LogOptions, began: u64, again: bool) -> LogOptions {
        let stamped = LogOptions { timestamps: asked.timestamps || asked.follow, ..asked.clone() };
        match (self.millis, again) {
            (_, false) => stamped,
            (Some(millis), true) => LogOptions { since: Some(millis), tail: None, ..stamped },
            // Nothing was there when it began.
            (None, true) if asked.tail.is_some() => {
                LogOptions { since: Some(began), tail: None, ..stamped }
            }
            (None, true) => stamped,
        }
    }

    /// What of the next stream was read already.
    pub fn resumed(&self) -> Resumed {
        Resumed { millis: self.millis, left: self.pieces, met: false }
    }
}

/// Leaves out what was read before.
#[derive(Debug)]
pub struct Resumed {
    /// Of what is left out; `None`: nothing any more.
    millis: Option<u64>,
    left: usize,
    /// The first line of that millisecond has been met.
    met: bool,
}

impl Resumed {
    /// Whether the next piece was read before.
    pub fn skips(&mut self, stamp: Option<&Stamp>) -> bool {
        let Some(millis) = self.millis else { return false };
        // The end of an older line: the line of this millisecond began after it.
        if stamp.is_none() && !self.met {
            return true;
        }
        self.met = true;
        // Once all of that millisecond has been met, or is gone by now, everything is new.
        if self.left == 0 || stamp.is_some_and(|stamp| stamp.millis != millis) {
            self.millis = None;
            return false;
        }
        self.left -= 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(text: &str) -> (Option<Stamp>, String) {
        (Stamp::of(text.as_bytes()), text.to_owned())
    }

    fn line(millis: u32, word: &str) -> (Option<Stamp>, String) {
        piece(&format!("2026-01-02T03:04:05.{millis:03}000001Z {word}"))
    }

    /// What is printed when the stream breaks after so many pieces, and begins again.
    fn twice(stream: &[(Option<Stamp>, String)], broken: usize, again_from: usize) -> Vec<String> {
        let (mut position, mut printed) = (Position::default(), vec![]);
        for (stamp, text) in &stream[..broken] {
            position.note(stamp.as_ref());
            printed.push(text.clone());
        }
        let mut resumed = position.resumed();
        for (stamp, text) in &stream[again_from..] {
            if !resumed.skips(stamp.as_ref()) {
                printed.push(text.clone());
            }
        }
        printed
    }

    #[test]
    fn a_time_is_known_by_its_form() {
        assert!(line(1, "x").0.is_some());
        for text in
            ["", "x", "2026-01-02T03:04:05Z x", "2026-01-02 03:04:05.123456789Z  x and more"]
        {
            assert_eq!(Stamp::of(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn each_piece_is_read_once_wherever_the_stream_breaks() {
        let stream = [
            line(1, "a"),
            line(2, "b"),
            piece("goes on"),
            line(2, "c"),
            line(2, "d"),
            piece("goes on, too"),
            line(3, "e"),
        ];
        let all: Vec<_> = stream.iter().map(|(_, text)| text.clone()).collect();
        // Whoever resumes is given all from the millisecond of the last line on.
        let from = |broken: usize| match broken {
            0 | 1 => 0,
            2..=6 => 1,
            _ => 6,
        };
        for broken in 0..=stream.len() {
            assert_eq!(twice(&stream, broken, from(broken)), all, "broken after {broken}");
        }
        // The end of an older line may come along.
        let late = [line(1, "a"), piece("of a, later"), line(2, "b"), line(3, "c")];
        let all: Vec<_> = late.iter().map(|(_, text)| text.clone()).collect();
        assert_eq!(twice(&late, 3, 1), all);
    }

    #[test]
    fn what_is_asked_for_again_goes_on_from_there() {
        let asked = LogOptions { follow: true, tail: Some(3), ..LogOptions::default() };
        let mut position = Position::default();
        let first = position.options(&asked, 7, false);
        assert_eq!((first.tail, first.since, first.timestamps), (Some(3), None, true));
        let nothing = position.options(&asked, 7, true);
        assert_eq!((nothing.tail, nothing.since), (None, Some(7)));
        position.note(line(1, "x").0.as_ref());
        let again = position.options(&asked, 7, true);
        assert_eq!((again.tail, again.since), (None, position.millis));
    }
}
