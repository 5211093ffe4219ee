//! Follows something under way to its end: progress to the screen, the outcome as exit code.

use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::show::Screen;
use crate::show::progress::Board;
use futures_util::StreamExt;
use keel_api::client::Lines;
use keel_reconciler::ask::{Outcome, Progress};

/// Shows all lines; how it ended.
pub async fn watch(screen: &Screen, mut lines: Lines<Progress>) -> Result<Exit> {
    let mut board = Board::new(screen);
    while let Some(line) = lines.next().await {
        match line? {
            Progress::End { outcome, notes } => return Ok(ended(screen, outcome, &notes)),
            step @ Progress::Step { .. } => board.take(&step),
        }
    }
    Err(Failure::new("the connection to keel ended before the outcome was known")
        .hint("`keel status` says how far it got"))
}

fn ended(screen: &Screen, outcome: Outcome, notes: &[String]) -> Exit {
    for note in notes {
        match outcome {
            Outcome::Done => screen.say(note),
            Outcome::Failed | Outcome::Unhealthy if note.starts_with("hint:") => {
                screen.raw("\n");
                screen.problem(note);
            }
            Outcome::Failed | Outcome::Unhealthy if has_heading(note) => screen.problem(note),
            Outcome::Failed => screen.problem(&format!("error: {note}")),
            Outcome::Unhealthy => screen.warn(note),
        }
    }
    match outcome {
        Outcome::Done => Exit::Done,
        Outcome::Failed => Exit::Failed,
        Outcome::Unhealthy => Exit::Unhealthy,
    }
}

fn has_heading(note: &str) -> bool {
    ["error:", "warning:", "notice:", "hint:"].iter().any(|word| note.starts_with(word))
}
