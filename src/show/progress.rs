//! What goes on: one line for each thing on a terminal, rewritten as it changes; plain lines
//! elsewhere.

use crate::show::Screen;
use crate::show::screen::Colour;
use crate::terminal;
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

/// As many as are redrawn: more are told as plain lines.
const ROOM: usize = 20;
/// Of a terminal that does not say how large it is.
const USUAL: (u16, u16) = (24, 80);
/// Columns of a mark and the blanks around it, and one that stays free: some terminals wrap at once.
const MARK: usize = 4;

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
        let (rows, columns) = terminal::size_of_progress().unwrap_or(USUAL);
        // Nothing above the terminal's first row can be redrawn.
        let room = ROOM.min(usize::from(rows).saturating_sub(1));
        if self.screen.redraws() && self.lines.len() <= room {
            self.draw(usize::from(columns).saturating_sub(MARK));
        } else if before.is_none_or(|before| before.what != line.what || line.failed) {
            // Percentages are for terminals.
            self.screen.say(&plain(&line));
        }
    }

    fn draw(&mut self, width: usize) {
        let lines: Vec<_> = self.lines.iter().map(|line| marked(line, width)).collect();
        self.screen.redraw(self.drawn, &lines);
        self.drawn = lines.len();
    }
}

fn marked(line: &Line, width: usize) -> (&'static str, Colour, String) {
    let (mark, colour) = match () {
        () if line.failed => ("x", Colour::Red),
        () if is_final(&line.what) => ("+", Colour::Green),
        () => (".", Colour::Yellow),
    };
    (mark, colour, fitted(line, width))
}

/// The line within so many columns, since one that wraps would break the counting of lines: without
/// its end, then without the kind of its subject, then without the beginning of the name.
fn fitted(line: &Line, width: usize) -> String {
    let text = keel_plain::line(&plain(line)).into_owned();
    let what = keel_plain::line(&line.what).into_owned();
    let subject = keel_plain::line(&line.subject).into_owned();
    if columns(&format!("{subject}  {what}")) <= width {
        return cut(&text, width);
    }
    let name = subject.split_once(' ').map_or(&*subject, |(_, name)| name);
    let room = width.saturating_sub(columns(&what) + 2);
    if room < SHORTEST_NAME {
        return cut(&format!("{name}  {what}"), width);
    }
    format!("{}  {what}", last(name, room))
}

/// Less of a name says nothing.
const SHORTEST_NAME: usize = 4;

/// How many columns a text takes at most: what is not ASCII may take two.
fn columns(text: &str) -> usize {
    text.chars().map(breadth).sum()
}

fn breadth(c: char) -> usize {
    if c.is_ascii() { 1 } else { 2 }
}

fn cut(text: &str, width: usize) -> String {
    let mut left = width;
    let fits = |c: &char| {
        left.checked_sub(breadth(*c)).is_some_and(|rest| {
            left = rest;
            true
        })
    };
    text.chars().take_while(fits).collect()
}

/// The end of a name, which tells it from others.
fn last(name: &str, width: usize) -> String {
    if columns(name) <= width {
        return name.to_owned();
    }
    let backwards: String = name.chars().rev().collect();
    let kept: String = cut(&backwards, width.saturating_sub(2)).chars().rev().collect();
    format!("…{kept}")
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

#[cfg(test)]
mod tests {
    use super::*;

    fn line(subject: &str, what: &str, detail: Option<&str>) -> Line {
        let detail = detail.map(str::to_owned);
        Line { subject: subject.into(), what: what.into(), detail, failed: false }
    }

    #[test]
    fn a_line_fits_and_keeps_what_matters() {
        let pull =
            line("Image registry.example.org/team/app:1.2.3", "Pulling", Some("12 % of 40 MB"));
        let cases = [
            (76, "Image registry.example.org/team/app:1.2.3  Pulling: 12 % of 40 MB"),
            (56, "Image registry.example.org/team/app:1.2.3  Pulling: 12 %"),
            (46, "registry.example.org/team/app:1.2.3  Pulling"),
            (16, "…1.2.3  Pulling"),
            (8, "registry"),
            (0, ""),
        ];
        for (width, expected) in cases {
            let text = fitted(&pull, width);
            assert_eq!(text, expected, "{width}");
            assert!(columns(&text) <= width, "{width}");
        }
        let wide = line("Container 容器容器容器", "Started", None);
        for width in 0..40 {
            assert!(columns(&fitted(&wide, width)) <= width, "{width}");
        }
    }
}
