//! Standard output and standard error: what goes where, and when it is coloured.
//!
//! # Invariants
//! - Only what was asked for goes to standard output.
//! - Whatever is printed was escaped here, whoever wrote it: no command can forget to. Only a
//!   container's own output, which is not printed here, comes as it is.
//! - No escape sequence reaches what is not a terminal, nor anybody who set `NO_COLOR`.

use crate::env;
use crate::failure::Failure;
use keel_plain as plain;
use std::io::{self, IsTerminal, Write};

/// Characters of one line that are shown: it may hold what a stranger wrote.
const LONGEST: usize = 8 << 10;

/// Where a command speaks.
#[derive(Debug, Clone)]
pub struct Screen {
    quiet: bool,
    out_colour: bool,
    err_colour: bool,
    err_terminal: bool,
}

/// The colours that are used at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// Failures.
    Red,
    /// Warnings.
    Yellow,
    /// What went well.
    Green,
    /// Advice, and names.
    Cyan,
    /// Names.
    Magenta,
    /// Names.
    Blue,
}

impl Colour {
    fn code(self) -> u8 {
        match self {
            Self::Red => 31,
            Self::Green => 32,
            Self::Yellow => 33,
            Self::Blue => 34,
            Self::Magenta => 35,
            Self::Cyan => 36,
        }
    }

    /// The text, as one line, in this colour.
    pub fn paint(self, text: &str) -> String {
        format!("\x1b[{}m{}\x1b[0m", self.code(), plain::line(text))
    }
}

impl Screen {
    /// What this process is attached to.
    pub fn new(quiet: bool) -> Self {
        let dumb = env::get(env::TERM).is_some_and(|term| term == "dumb");
        let colour = !dumb && env::get(env::NO_COLOR).is_none();
        let err_terminal = io::stderr().is_terminal();
        Self {
            quiet,
            out_colour: colour && io::stdout().is_terminal(),
            err_colour: colour && err_terminal,
            err_terminal,
        }
    }

    /// Whether only what was asked for shall be said.
    pub fn quiet(&self) -> bool {
        self.quiet
    }

    /// Whether what goes to standard output may be coloured.
    pub fn colours_data(&self) -> bool {
        self.out_colour
    }

    /// Whether progress may move the cursor.
    pub fn redraws(&self) -> bool {
        self.err_terminal && !self.quiet
    }

    /// What was asked for, with an end of line unless it has one.
    pub fn data(&self, text: &str) -> Result<(), Failure> {
        if text.is_empty() {
            return Ok(());
        }
        let text = plain::text(text);
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        if !text.ends_with('\n') {
            out.write_all(b"\n")?;
        }
        Ok(out.flush()?)
    }

    /// A line about what goes on.
    pub fn say(&self, line: &str) {
        if !self.quiet {
            self.write(&plain::line_within(line, LONGEST));
        }
    }

    /// Several lines about what goes on.
    pub fn paragraph(&self, text: &str) {
        if !self.quiet {
            self.write(&plain::text(text));
        }
    }

    /// An empty line.
    pub fn blank(&self) {
        self.write("");
    }

    /// A question, to be answered behind it.
    pub fn ask(&self, question: &str) {
        self.raw(&plain::text(question));
    }

    /// A line that a quiet person needs too.
    pub fn warn(&self, line: &str) {
        self.write(&format!(
            "{} {}",
            self.word("warning:", Colour::Yellow),
            plain::line_within(line, LONGEST)
        ));
    }

    /// A line about what failed, however quiet.
    pub fn error(&self, line: &str) {
        let line = plain::line_within(line, LONGEST);
        self.write(&format!("{} {line}", self.word("error:", Colour::Red)));
    }

    /// A text of several lines, however quiet; its first word is coloured.
    pub fn problem(&self, text: &str) {
        let text = &*plain::text(text);
        let words = [
            ("error:", Colour::Red),
            ("warning:", Colour::Yellow),
            ("notice:", Colour::Cyan),
            ("hint:", Colour::Cyan),
        ];
        let painted = words.iter().find_map(|(word, colour)| {
            Some(format!("{}{}", self.word(word, *colour), text.strip_prefix(word)?))
        });
        self.write(painted.as_deref().unwrap_or(text).trim_end_matches('\n'));
    }

    /// A line about what goes on, unless it is a problem, which a quiet person needs too.
    pub fn tell(&self, line: &str) {
        match ["error:", "warning:"].iter().any(|word| line.starts_with(word)) {
            true => self.problem(line),
            false => self.say(line),
        }
    }

    /// Why the command ends.
    pub fn failure(&self, failure: &Failure) {
        let Failure::Error { message, hint, .. } = failure else { return };
        self.error(message);
        if let Some(hint) = hint {
            self.write(&format!("\n{} {}", self.word("hint:", Colour::Cyan), plain::text(hint)));
        }
    }

    /// Marked lines of standard error, over as many that were drawn before.
    pub fn redraw(&self, over: usize, lines: &[(&str, Colour, String)]) {
        let up = if over > 0 { format!("\x1b[{over}A") } else { String::new() };
        let draw = |(mark, colour, text): &(&str, Colour, String)| {
            format!("\r\x1b[K {} {}\n", self.word(mark, *colour), plain::line(text))
        };
        let lines: String = lines.iter().map(draw).collect();
        self.raw(&(up + &lines));
    }

    /// A word of standard error, coloured where that is wanted.
    fn word(&self, text: &str, colour: Colour) -> String {
        if self.err_colour { colour.paint(text) } else { text.to_owned() }
    }

    /// What was escaped.
    fn raw(&self, text: &str) {
        // Nobody is left to tell that nobody listens.
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }

    fn write(&self, line: &str) {
        self.raw(&format!("{line}\n"));
    }
}
