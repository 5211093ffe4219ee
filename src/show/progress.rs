//! What goes on: one line for each thing on a terminal, rewritten as it changes; plain lines
//! elsewhere.

use crate::show::Screen;
use crate::show::screen::Colour;
use keel_reconciler::ask::Progress;

/// The things under way, in the order in which they appeared.
pub struct Board<'a> {
    screen: &'a Screen,
    lines: Vec<Line>,
    drawn: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    subject: String,
    what: String,
    detail: Option<String>,
    failed: bool,
}

/// As many as fit on the smallest terminal: more are told as plain lines.
const ROOM: usize = 20;

impl<'a> Board<'a> {
    /// An empty one.
    pub fn new(screen: &'a Screen) -> Self {
        Self { screen, lines: Vec::new(), drawn: 0 }
    }

    /// Takes one line of progress; an end is not shown here.
    pub fn take(&mut self, progress: &Progress) {
        let Progress::Step { subject, what, failed, detail } = progress else { return };
        let line = Line {
            subject: subject.clone(),
            what: what.clone(),
            detail: detail.clone(),
            failed: *failed,
        };
        let known = self.lines.iter().position(|known| known.subject == line.subject);
        let before = known.map(|index| std::mem::replace(&mut self.lines[index], line.clone()));
        if before.is_none() {
            self.lines.push(line.clone());
        }
        if self.screen.redraws() && self.lines.len() <= ROOM {
            self.draw();
        } else if before.is_none_or(|before| before.what != line.what || line.failed) {
            // Percentages are for terminals.
            self.screen.say(&plain(&line));
        }
    }

    fn draw(&mut self) {
        let lines: Vec<_> = self.lines.iter().map(marked).collect();
        self.screen.redraw(self.drawn, &lines);
        self.drawn = lines.len();
    }
}

fn marked(line: &Line) -> (&'static str, Colour, String) {
    let (mark, colour) = match () {
        () if line.failed => ("x", Colour::Red),
        () if is_final(&line.what) => ("+", Colour::Green),
        () => (".", Colour::Yellow),
    };
    // A line that wraps would break the counting of lines.
    let text = keel_plain::line(&plain(line)).chars().take(76).collect();
    (mark, colour, text)
}

/// Whether the word says that something is over.
fn is_final(what: &str) -> bool {
    !what.ends_with("ing")
}

fn plain(line: &Line) -> String {
    match &line.detail {
        Some(detail) => format!("{}  {}: {detail}", line.subject, line.what),
        None => format!("{}  {}", line.subject, line.what),
    }
}
